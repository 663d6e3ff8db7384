"""Responses, accepted and refused, by name."""

# ruff: noqa: E501 (a table is read by its rows)

from __future__ import annotations

from typing import NamedTuple

from tests.http1.good import HELLO, head
from tests.http1.oracle import Verdict


class Good(NamedTuple):
    """`is_eof`: the connection ends after the bytes. `excess`: what follows the response unasked."""

    data: bytes
    length: int
    body: bytes = b""
    method: bytes = b"GET"
    upgrade: bytes = b""
    is_eof: bool = False
    has_excess: bool = False
    statuses: tuple[int, ...] = (200,)


class Refused(NamedTuple):
    name: str
    data: bytes
    rule: str
    h11: Verdict
    method: bytes = b"GET"
    upgrade: bytes = b""


def ok(*fields: bytes, body: bytes = b"") -> bytes:
    return head(b"HTTP/1.1 200 OK", *fields) + body


def status(code: int, *fields: bytes, body: bytes = b"") -> bytes:
    return head(b"HTTP/1.1 %d X" % code, *fields) + body


def chunked(body: bytes) -> bytes:
    return ok(b"Transfer-Encoding: chunked", body=body)


SWITCH = status(101, b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Accept: x")
CONTINUE = head(b"HTTP/1.1 100 Continue")
NEXT = ok(b"Content-Length: 6", body=b"poison")

GOOD: dict[str, Good] = {
    "length": Good(ok(b"Content-Length: 5", body=b"hello"), 5, b"hello"),
    "length 0": Good(ok(b"Content-Length: 0"), 0),
    "nginx's": Good(
        ok(b"Server: nginx/1.22.1", b"Date: Mon, 23 Nov 2026 00:00:00 GMT", b"Content-Length: 2", b"Connection: keep-alive", body=b"ab"),
        2, b"ab",
    ),
    "chunked": Good(chunked(HELLO), -1, b"hello"),
    "chunked, shouted": Good(ok(b"TRANSFER-ENCODING:Chunked", body=HELLO), -1, b"hello"),
    "chunked, nothing in it": Good(chunked(b"0\r\n\r\n"), -1),
    "chunked with trailers": Good(chunked(b"5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), -1, b"hello"),
    "until close": Good(ok(b"X-A: 1", body=b"hello\r\n\r\n"), -2, b"hello\r\n\r\n", is_eof=True),
    "until close, nothing in it": Good(ok(), -2, is_eof=True),
    "until close, announced": Good(ok(b"Connection: close", body=b"x"), -2, b"x", is_eof=True),
    "HTTP/1.0 until close": Good(head(b"HTTP/1.0 200 OK") + b"x", -2, b"x", is_eof=True),
    "HTTP/1.0 with a length": Good(head(b"HTTP/1.0 200 OK", b"Content-Length: 1") + b"x", 1, b"x"),
    "HTTP/1.0 kept alive": Good(head(b"HTTP/1.0 200 OK", b"Connection: keep-alive", b"Content-Length: 1") + b"x", 1, b"x"),
    "HEAD with a length": Good(ok(b"Content-Length: 66"), 0, method=b"HEAD"),
    "HEAD with chunks": Good(ok(b"Transfer-Encoding: chunked"), 0, method=b"HEAD"),
    "HEAD without either": Good(ok(), 0, method=b"HEAD"),
    "HEAD with a body": Good(ok(b"Content-Length: 5", body=b"hello"), 0, method=b"HEAD", has_excess=True),
    "204": Good(status(204), 0, statuses=(204,)),
    "204 with a length": Good(status(204, b"Content-Length: 5", b"X-A: 1"), 0, statuses=(204,)),
    "204 with chunks": Good(status(204, b"Transfer-Encoding: chunked"), 0, statuses=(204,)),
    "204 with a body": Good(status(204, b"Content-Length: 5", body=b"hello"), 0, has_excess=True, statuses=(204,)),
    "304 with a length": Good(status(304, b"Content-Length: 5"), 0, statuses=(304,)),
    "304 with a body": Good(status(304, b"Content-Length: 5", body=b"hello"), 0, has_excess=True, statuses=(304,)),
    "205 with length 0": Good(status(205, b"Content-Length: 0"), 0, statuses=(205,)),
    "an error with a body": Good(status(503, b"Content-Length: 2", body=b"no"), 2, b"no", statuses=(503,)),
    "a status of no class": Good(status(999, b"Content-Length: 0"), 0, statuses=(999,)),
    "no reason": Good(head(b"HTTP/1.1 200 ", b"Content-Length: 0"), 0),
    "no space for a reason": Good(head(b"HTTP/1.1 200", b"Content-Length: 0"), 0),
    "a reason of bytes above 7-bit": Good(head(b"HTTP/1.1 200 d\xe9j\xe0\tvu", b"Content-Length: 0"), 0),
    "100 first": Good(CONTINUE + NEXT, 6, b"poison", statuses=(100, 200)),
    "several interim ones": Good(
        CONTINUE + status(102) + status(103, b"Link: </a>; rel=preload", b"Link: </b>") + chunked(HELLO), -1, b"hello",
        statuses=(100, 102, 103, 200),
    ),
    "an interim one with a length": Good(status(103, b"Content-Length: 9", b"X-A: 1") + NEXT, 6, b"poison", statuses=(103, 200)),
    "100 before HEAD's": Good(CONTINUE + ok(b"Content-Length: 5"), 0, method=b"HEAD", statuses=(100, 200)),
    "as many interim ones as may be": Good(CONTINUE * 16 + NEXT, 6, b"poison", statuses=(100,) * 16 + (200,)),
    "more after a length": Good(ok(b"Content-Length: 5", body=b"hello" + NEXT), 5, b"hello", has_excess=True),
    "more after length 0": Good(ok(b"Content-Length: 0", body=NEXT), 0, has_excess=True),
    "more after chunks": Good(chunked(HELLO + NEXT), -1, b"hello", has_excess=True),
    "more after trailers": Good(chunked(b"0\r\nX: 1\r\n\r\n" + b"\n"), -1, has_excess=True),
    "an empty line after": Good(ok(b"Content-Length: 5", body=b"hello\r\n"), 5, b"hello", has_excess=True),
    "an interim one after": Good(ok(b"Content-Length: 0", body=CONTINUE), 0, has_excess=True),
    "hop-by-hop fields": Good(
        ok(b"Keep-Alive: timeout=5", b"X-A: 1", b"Connection: X-B, keep-alive", b"x-b: 2", b"Proxy-Connection: x", b"Content-Length: 0"), 0
    ),
    "fields that Connection cannot name": Good(
        ok(b"Connection: Content-Length, Set-Cookie, close", b"Set-Cookie: a", b"Content-Length: 1", body=b"x"), 1, b"x"
    ),
    "an upgrade that is only offered": Good(
        status(426, b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 0"), 0, statuses=(426,)
    ),
    "an upgrade": Good(SWITCH + b"\x81\x05hello\r\n\r\n", 0, b"\x81\x05hello\r\n\r\n", upgrade=b"websocket", statuses=(101,)),
    "an upgrade, shouted": Good(
        status(101, b"Upgrade: WebSocket", b"Connection: keep-alive, UPGRADE") + b"x", 0, b"x", upgrade=b"websocket", statuses=(101,)
    ),
    "an upgrade that is refused": Good(status(400, b"Content-Length: 0"), 0, upgrade=b"websocket", statuses=(400,)),
    "100 before an upgrade": Good(CONTINUE + SWITCH + b"x", 0, b"x", upgrade=b"websocket", statuses=(100, 101)),
}  # fmt: skip

_LINE = "malformed status line"
_NOT = "not an HTTP/1.1 response"
_LENGTHS = "several Content-Length fields"
_BOTH = "both Content-Length and Transfer-Encoding"
_LENGTH = "malformed Content-Length"
_CODING = "Transfer-Encoding other than a single chunked"
_CONTROL = "control character in a field value"
_SWITCH = "101 that was not asked for"
_HUGE = "response head too large"
_SIZE = "malformed chunk size"

REFUSED = [
    Refused("HTTP/0.9", b"<html>hello</html>\r\n", _NOT, "waits"),
    Refused("rubbish", b"\x00\x01\x02\x03", _NOT, "refuses"),
    Refused("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46", _NOT, "refuses"),
    Refused("HTTP/2 SETTINGS", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", _NOT, "refuses"),
    Refused("an SSH banner", b"SSH-2.0-OpenSSH_9.2p1\r\n", _NOT, "waits"),
    Refused("a line of another protocol", b"HTTX/1.1 200 OK", _NOT, "waits"),
    Refused("an empty line before", b"\r\n" + NEXT, _LINE, "refuses"),
    Refused("a space before", b" " + NEXT, _LINE, "refuses"),
    Refused("an empty head", b"\r\n\r\n", _LINE, "refuses"),
    Refused("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses"),
    Refused("HTTP/2.0", head(b"HTTP/2.0 200 OK", b"Content-Length: 0"), _LINE, "accepts"),
    Refused("HTTP/1.2", head(b"HTTP/1.2 200 OK", b"Content-Length: 0"), _LINE, "accepts"),
    Refused("HTTP/1", head(b"HTTP/1 200 OK", b"Content-Length: 0"), _LINE, "refuses"),
    Refused("http/1.1", head(b"http/1.1 200 OK", b"Content-Length: 0"), _LINE, "refuses"),
    Refused("two digits", head(b"HTTP/1.1 20 OK", b"Content-Length: 0"), _LINE, "refuses"),
    Refused("four digits", head(b"HTTP/1.1 2000 OK", b"Content-Length: 0"), _LINE, "refuses"),
    Refused("a status below 100", head(b"HTTP/1.1 099 OK", b"Content-Length: 0"), _LINE, "refuses"),
    Refused("a signed status", head(b"HTTP/1.1 +20 OK", b"Content-Length: 0"), _LINE, "refuses"),
    Refused("letters for a status", head(b"HTTP/1.1 abc OK", b"Content-Length: 0"), _LINE, "refuses"),
    Refused("two spaces before the status", head(b"HTTP/1.1  200 OK", b"Content-Length: 0"), _LINE, "refuses"),
    Refused("tab before the status", head(b"HTTP/1.1\t200 OK", b"Content-Length: 0"), _LINE, "refuses"),
    Refused("NUL in the reason", head(b"HTTP/1.1 200 O\x00K", b"Content-Length: 0"), _LINE, "refuses"),
    Refused("bare CR in the reason", head(b"HTTP/1.1 200 O\rK", b"Content-Length: 0"), _LINE, "refuses"),
    Refused("LF alone everywhere", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", _NOT, "accepts"),
    Refused("LF after the status line", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", _LINE, "accepts"),
    Refused("LF after a field", b"HTTP/1.1 200 OK\r\nX-A: 1\nContent-Length: 0\r\n\r\n", _CONTROL, "accepts"),
    Refused("bare CR in a value", ok(b"X-A: 1\rContent-Length: 0"), _CONTROL, "refuses"),
    Refused("NUL in a value", ok(b"X-A: \x00", b"Content-Length: 0"), _CONTROL, "refuses"),
    Refused("a response in a value", ok(b"X-A: a\r\n\x00HTTP/1.1 200 OK"), "field line without a colon", "refuses"),
    Refused("obs-fold", ok(b"X-A: 1", b" 2", b"Content-Length: 0"), "folded field line (obs-fold)", "accepts"),
    Refused("space before the colon", ok(b"Content-Length : 0"), "space before the colon of a field", "refuses"),
    Refused("no colon", ok(b"X-A", b"Content-Length: 0"), "field line without a colon", "refuses"),
    Refused("two lengths", ok(b"Content-Length: 1", b"Content-Length: 2", body=b"ab"), _LENGTHS, "refuses"),
    Refused("two equal lengths", ok(b"Content-Length: 2", b"Content-Length: 2", body=b"ab"), _LENGTHS, "accepts"),
    Refused("two lengths to HEAD", ok(b"Content-Length: 1", b"Content-Length: 2"), _LENGTHS, "refuses", b"HEAD"),
    Refused("a list of lengths", ok(b"Content-Length: 2, 2", body=b"ab"), _LENGTH, "accepts"),
    Refused("a negative length", ok(b"Content-Length: -2", body=b"ab"), _LENGTH, "refuses"),
    Refused("a length past 64 bits", ok(b"Content-Length: 99999999999999999999"), _LENGTH, "waits"),
    Refused("an empty length", ok(b"Content-Length:"), _LENGTH, "refuses"),
    Refused("length and chunked", ok(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=HELLO), _BOTH, "accepts"),
    Refused("chunked and length", ok(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=HELLO), _BOTH, "accepts"),
    Refused("gzip, chunked", ok(b"Transfer-Encoding: gzip, chunked", body=HELLO), _CODING, "refuses"),
    Refused("gzip", ok(b"Transfer-Encoding: gzip", body=HELLO), _CODING, "refuses"),
    Refused("identity", ok(b"Transfer-Encoding: identity", body=HELLO), _CODING, "refuses"),
    Refused("chunked twice", ok(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=HELLO), _CODING, "refuses"),
    Refused("chunked in HTTP/1.0", head(b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked") + HELLO, "Transfer-Encoding in HTTP/1.0", "accepts"),
    Refused("101 unasked", SWITCH, _SWITCH, "refuses"),
    Refused("101 to another protocol", status(101, b"Connection: Upgrade", b"Upgrade: h2c"), _SWITCH, "accepts", upgrade=b"websocket"),
    Refused("101 without Upgrade", status(101, b"Connection: Upgrade"), _SWITCH, "accepts", upgrade=b"websocket"),
    Refused("101 that Connection does not name", status(101, b"Upgrade: websocket"), _SWITCH, "accepts", upgrade=b"websocket"),
    Refused("too many interim ones", CONTINUE * 17, "too many interim responses", "waits"),
    Refused("a bad one after an interim one", CONTINUE + b"\r\n" + NEXT, _LINE, "refuses"),
    Refused("a head over 64 KiB", ok(b"X-A: " + b"a" * 65_536), _HUGE, "waits"),
    Refused("a head over 64 KiB without an end", ok(b"X-A: " + b"a" * 70_000)[:-4], _HUGE, "waits"),
    Refused("129 fields", ok(*[b"X: 1"] * 129), "too many fields", "waits"),
    Refused("a bad chunk size", chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses"),
    Refused("a chunk longer than its size", chunked(b"4\r\nhello\r\n0\r\n\r\n"), "chunk longer than its size", "refuses"),
    Refused("LF after a chunk size", chunked(b"5\nhello\r\n0\r\n\r\n"), _SIZE, "refuses"),
    Refused("a page for chunks", chunked(b"<html>hello</html>\r\n"), _SIZE, "refuses"),
    Refused("a bad trailer", chunked(b"0\r\nX : 1\r\n\r\n"), "space before the colon of a field", "refuses"),
]  # fmt: skip
