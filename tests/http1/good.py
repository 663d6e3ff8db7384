"""Requests that are accepted, by name. The names say what is particular; several stand for habits of real clients."""

# ruff: noqa: E501 (a table is read by its rows)

from __future__ import annotations


def head(*lines: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


def get(*fields: bytes) -> bytes:
    return head(b"GET /a HTTP/1.1", b"Host: a", *fields)


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return head(b"POST /p HTTP/1.1", b"Host: a", *fields) + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


HELLO = b"5\r\nhello\r\n0\r\n\r\n"

GOOD: dict[str, bytes] = {
    "plain": get(),
    "order, case and doubles of fields": get(b"X-b: 1", b"x-A: 2", b"X-B: 3", b"x-a:4"),
    "empty value": get(b"X-Empty:", b"X-Blank: \t "),
    "white space around a value": get(b"X-A: \t a b\tc \t"),
    "a value of bytes above 7-bit": get(b"X-Name: \xc3\xa4\xff\x80"),
    "every token character in a name": get(b"!#$%&'*+-.^_`|~09azAZ: v"),
    "colons in a value": get(b"X-A: b: c:d"),
    "128 fields": get(*[b"X-%d: %d" % (i, i) for i in range(127)]),
    "a target with every sort of character": head(b"GET /a%20b;c=d,e/../'(f)!$&*+~_-.@:?q=%00&\"<>\\^`{|} HTTP/1.1", b"Host: a"),
    "a target of two slashes": head(b"GET //a/b HTTP/1.1", b"Host: a"),
    "an unknown method": head(b"M-SEARCH!x / HTTP/1.1", b"Host: a"),
    "a method in lower case": head(b"get / HTTP/1.1", b"Host: a"),
    "host with port": head(b"GET / HTTP/1.1", b"Host: echo.ns.svc.cluster.local:8080"),
    "host with an empty port": head(b"GET / HTTP/1.1", b"Host: echo:"),
    "host of IPv4": head(b"GET / HTTP/1.1", b"Host: 127.0.0.1:1"),
    "host of IPv6": head(b"GET / HTTP/1.1", b"Host: [::1]:80"),
    "host with underscore and trailing dot": head(b"GET / HTTP/1.1", b"Host: a_b.c."),
    "host last": head(b"GET / HTTP/1.1", b"X-A: b", b"hOST:a"),
    "names that only look like framing": get(b"Content_Length: 5", b"Transfer_Encoding: chunked", b"ContentLength: 5"),
    "empty lines before": b"\r\n\r\n" + get() + b"\r\n" + get(),
    "options of the server": head(b"OPTIONS * HTTP/1.1", b"Host: a"),
    "options of the server, absolute": head(b"OPTIONS http://a:1 HTTP/1.1", b"Host: a:1"),
    "options of an absolute path": head(b"OPTIONS http://a/ HTTP/1.1", b"Host: a"),
    "connect": head(b"CONNECT a:443 HTTP/1.1", b"Host: a:443"),
    "absolute": head(b"GET http://echo/a?b HTTP/1.1", b"Host: echo", b"User-Agent: curl/8", b"Accept: */*", b"Proxy-Connection: Keep-Alive"),
    "absolute wins over Host": head(b"GET http://b:81/a HTTP/1.1", b"X-A: 1", b"hOst: a", b"X-B: 2"),
    "absolute without a path": head(b"GET http://b HTTP/1.1", b"Host: b"),
    "absolute with a query alone": head(b"GET http://b?q HTTP/1.1", b"Host: b"),
    "absolute, shouted": head(b"GET HTTPS://b/ HTTP/1.1", b"Host: b"),
    "absolute in HTTP/1.0 without Host": head(b"GET http://b/a HTTP/1.0", b"X-A: 1"),
    "length": post(b"Content-Length: 5", body=b"hello"),
    "length 0": post(b"Content-Length: 0"),
    "length with zeros before": post(b"Content-Length: 0005", body=b"hello"),
    "length without a space": post(b"Content-Length:5", body=b"hello"),
    "length between white space": post(b"Content-Length: \t5 \t", body=b"hello"),
    "length on GET": get(b"Content-Length: 3") + b"abc",
    "a body that looks like a request": post(b"Content-Length: %d" % len(get()), body=get()) + get(),
    "chunked": chunked(HELLO),
    "chunked, nothing in it": chunked(b"0\r\n\r\n"),
    "chunked, shouted": post(b"TRANSFER-encoding:CHUNKED\t", body=HELLO),
    "chunked, several": chunked(b"1\r\na\r\nA\r\n0123456789\r\n0b\r\n0123456789a\r\n000\r\n\r\n"),
    "chunked, line ends in the data": chunked(b"8\r\n\r\n0\r\n\r\n\n\r\n0\r\n\r\n"),
    "chunked, size of 15 digits": chunked(b"000000000000005\r\nhello\r\n0\r\n\r\n"),
    "chunk extensions": chunked(b'5;a;b=c;d="e;\xe4"\r\nhello\r\n0;last\r\n\r\n'),
    "chunk extensions after white space": chunked(b"5 \t; a = b\r\nhello\r\n0\r\n\r\n"),
    "trailers": chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-empty:\r\n\r\n"),
    "trailers that are not taken": chunked(b"0\r\nContent-Length: 3\r\nHost: b\r\nX-Sum: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "pipelined": get() + head(b"HEAD /2 HTTP/1.1", b"Host: b") + get(b"X-A: 3"),
    "pipelined after a length": post(b"Content-Length: 5", body=b"hello") + get(),
    "pipelined after chunks": chunked(HELLO) + get() + chunked(b"1\r\na\r\n0\r\nX-T: 1\r\n\r\n") + get(),
    "HTTP/1.0 without Host": head(b"GET / HTTP/1.0"),
    "HTTP/1.0 with a length": head(b"POST / HTTP/1.0", b"Content-Length: 5") + b"hello",
    "HTTP/1.0, then nothing is read": head(b"GET / HTTP/1.0", b"Host: a") + b"\x00rubbish",
    "HTTP/1.0 kept alive, as by ab -k": (
        head(b"GET /x HTTP/1.0", b"Connection: Keep-Alive", b"Host: 127.0.0.1:48233", b"User-Agent: ApacheBench/2.3", b"Accept: */*") * 2
    ),
    "HTTP/1.0 with Expect": head(b"POST / HTTP/1.0", b"Host: a", b"Expect: 100-continue", b"Content-Length: 1") + b"x",
    "close": get(b"Connection: close") + b"\x00rubbish",
    "close among other options": get(b"Connection: foo, Close ,bar", b"Foo: 1") + b"\x00rubbish",
    "keep-alive": get(b"Connection: keep-alive", b"Keep-Alive: timeout=5") + get(),
    "keep-alive in two fields": get(b"Connection: keep-alive", b"Connection: X-A", b"X-A: 1"),
    "nominated fields": get(b"Connection: X-Secret, x-other", b"X-SECRET: 1", b"X-Other: 2", b"X-Kept: 3"),
    "nominated fields that are protected": post(
        b"Connection: close, Host, Content-Length, X-Request-Id, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host",
        b"Connection: X-Forwarded-Port, X-Forwarded-Client-Cert, Traceparent, Tracestate, Authorization, Cookie, X-Real-Ip, Forwarded",
        b"X-Request-Id: r", b"X-Forwarded-For: f", b"X-Forwarded-Proto: http", b"X-Forwarded-Host: h", b"X-Forwarded-Port: 1",
        b"X-Forwarded-Client-Cert: c", b"Traceparent: t", b"Tracestate: s", b"Authorization: a", b"Cookie: c", b"X-Real-Ip: i",
        b"Forwarded: f", b"Content-Length: 1", body=b"x",
    ),
    "options that are no tokens": get(b'Connection: , ,;x="y",', b"Connection:", b"X-A: 1"),
    "te": get(b"TE: trailers", b"Connection: TE"),
    "te among codings": get(b"TE: gzip;q=0.5, Trailers", b"Connection: te"),
    "te of codings alone": get(b"TE: deflate, gzip;q=0.3", b"Connection: TE"),
    "te twice": get(b"TE: gzip", b"te: trailers", b"Connection: TE"),
    "expect, as by curl": post(
        b"User-Agent: curl/7.88.1", b"Accept: */*", b"Expect: 100-continue", b"Content-Length: 2",
        b"Content-Type: application/x-www-form-urlencoded", body=b"ab",
    ),
    "expect something else": post(b"Expect: 200-ok", b"Content-Length: 1", body=b"x"),
    "h2c, as by curl --http2": get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    "h2c, as by Java's HttpClient": head(
        b"POST /x HTTP/1.1", b"Connection: Upgrade, HTTP2-Settings", b"Content-Length: 5", b"Host: 127.0.0.1:57157",
        b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA", b"Upgrade: h2c", b"User-Agent: Java-http-client/17.0.15",
    ) + b"hello",
    "websocket, as by Java's HttpClient": head(
        b"GET /x HTTP/1.1", b"Connection: Upgrade", b"Content-Length: 0", b"Host: 127.0.0.1:60625", b"Upgrade: websocket",
        b"User-Agent: Java-http-client/17.0.15", b"Sec-WebSocket-Key: IpIlELPtzz9bNDO89sygRA==", b"Sec-WebSocket-Version: 13",
    ),
    "websocket, as by Firefox": get(b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket", b"Sec-WebSocket-Version: 13"),
    "websocket in two Connection fields": get(b"Connection: keep-alive", b"Connection: upgrade", b"Upgrade: websocket"),
    "websocket that Connection does not name": get(b"Upgrade: websocket"),
    "websocket by POST": post(b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 0"),
    "websocket with a body": get(b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 3") + b"abc",
    "websocket in HTTP/1.0": head(b"GET / HTTP/1.0", b"Host: a", b"Connection: Upgrade", b"Upgrade: websocket"),
}  # fmt: skip

STRICTER: dict[str, dict[str, str]] = {
    "h11": {
        "empty lines before": "takes none",
        "chunk extensions after white space": "knows no white space there (RFC 9112 section 7.1.1 wants it read)",
    },
    "httptools": {
        "an unknown method": "knows a list of methods",
        "a method in lower case": "knows a list of methods",
        "chunked, shouted": "does not strip a tab after a coding",
        "chunk extensions after white space": "knows no white space there",
        "trailers that are not taken": "reads framing fields in trailers as if they stood in the head",
        "HTTP/1.0, then nothing is read": "reads on after the last request",
        "close": "reads on after the last request",
        "close among other options": "reads on after the last request",
    },
}
"""What an oracle refuses of these, and why we do not."""
