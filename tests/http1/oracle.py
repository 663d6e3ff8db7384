"""Independent parsers, and independent readings of the rules, to hold the codec against."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import h11
import httptools

from tests.http1.record import Pairs

Verdict = Literal["accepts", "refuses", "waits"]

_NEVER_FORWARDED = {
    "connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "http2-settings",
}  # fmt: skip
_ONLY_IN_REQUESTS = {"te", "http2-settings"}
_ALWAYS_FORWARDED = {
    "host", "content-length", "expect", "authorization", "cookie", "traceparent", "tracestate", "x-request-id",
    "x-real-ip", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
    "x-forwarded-client-cert", "set-cookie", "www-authenticate", "proxy-status",
}  # fmt: skip

_NOT_IN_TRAILERS = {
    "content-length", "host", "trailer", "expect", "authorization", "proxy-authorization", "cookie", "set-cookie",
    "max-forwards", "cache-control", "content-encoding", "content-type", "content-range", "forwarded", "x-request-id",
    "x-real-ip", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto",
    "x-forwarded-client-cert", "proxy-status",
} | _NEVER_FORWARDED  # fmt: skip


class Seen(NamedTuple):
    """A message as an oracle reads it: every field, hop-by-hop ones too."""

    method: bytes
    target: bytes
    fields: Pairs
    body: bytes
    trailers: Pairs
    minor: bytes
    status: int = 0


def h11_requests(data: bytes, *, skips_empty_lines: bool = False) -> tuple[Verdict, list[Seen]]:
    """Read as h11 does, answering every request, until the connection is to be closed.

    h11 takes no empty lines before a request; `skips_empty_lines` takes them from its path.
    """
    connection = _h11_server(data, skips_empty_lines)
    seen: list[Seen] = []
    while True:
        try:
            event: Any = connection.next_event()
        except h11.RemoteProtocolError:
            return "refuses", seen
        if isinstance(event, h11.Request):
            head, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            fields = [(bytes(n), bytes(v)) for n, v in head.headers]
            trailers = [(bytes(n), bytes(v)) for n, v in event.headers]
            seen.append(Seen(head.method, head.target, fields, body, trailers, head.http_version))
            connection.send(h11.Response(status_code=405, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                return "accepts", seen
            connection = _h11_server(connection.trailing_data[0], skips_empty_lines)
        elif event is h11.NEED_DATA:
            is_between = connection.their_state is h11.IDLE and not connection.trailing_data[0]
            return ("accepts" if is_between else "waits"), seen
        else:
            return "accepts", seen


def _h11_server(data: bytes, skips_empty_lines: bool) -> h11.Connection:
    while skips_empty_lines and data.startswith(b"\r\n"):
        data = data[2:]
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    if data:  # nothing would mean the connection's end
        connection.receive_data(data)
    return connection


def h11_response(
    data: bytes, method: bytes = b"GET", upgrade: bytes = b"", *, is_eof: bool = False
) -> tuple[Verdict, list[Seen]]:
    """Read one response, interim ones before it included; after a 101, the rest is its body."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    asked = [(b"connection", b"upgrade"), (b"upgrade", upgrade)] if upgrade else []
    connection.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"a"), *asked]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    if is_eof and data:
        connection.receive_data(b"")
    seen: list[Seen] = []
    while True:
        try:
            event: Any = connection.next_event()
        except h11.RemoteProtocolError:
            return "refuses", seen
        if isinstance(event, h11.Response | h11.InformationalResponse):
            head, body = event, b""
            fields = [(bytes(n), bytes(v)) for n, v in head.headers]
            if isinstance(event, h11.InformationalResponse):
                seen.append(Seen(b"", b"", fields, b"", [], head.http_version, head.status_code))
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            trailers = [(bytes(n), bytes(v)) for n, v in event.headers]
            seen.append(Seen(b"", b"", fields, body, trailers, head.http_version, head.status_code))
            return "accepts", seen
        elif event is h11.PAUSED and seen and seen[-1].status == 101:
            seen[-1] = seen[-1]._replace(body=connection.trailing_data[0])
            return "accepts", seen
        else:
            return "waits", seen


class _Callbacks:
    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.url = self.body = b""
        self.fields: Pairs = []
        self.is_open = False
        self.parser: Any

    def on_message_begin(self) -> None:
        self.url, self.body, self.fields, self.is_open = b"", b"", [], True

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_open = False
        method = self.parser.get_method()
        version = self.parser.get_http_version().encode()
        self.seen.append(Seen(method, self.url, self.fields, self.body, [], version))


def httptools_requests(data: bytes) -> tuple[Verdict, list[Seen]]:
    """Read as httptools (llhttp) does. Trailers are among the fields."""
    callbacks = _Callbacks()
    parser = callbacks.parser = httptools.HttpRequestParser(callbacks)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        return "accepts", callbacks.seen
    except httptools.HttpParserError:
        return "refuses", callbacks.seen
    return ("waits" if callbacks.is_open or not callbacks.seen else "accepts"), callbacks.seen


def forwarded(seen: Seen) -> Pairs:
    """The fields of a message that are to be passed on, by RFC 9110 sections 7.6.1, 8.6 and 10.1.1."""
    fields = [(n.decode(), v) for n, v in seen.fields]
    named = {t.strip().lower() for n, v in fields if n == "connection" for t in v.decode("latin-1").split(",")}
    never = _NEVER_FORWARDED - _ONLY_IN_REQUESTS if seen.status else _NEVER_FORWARDED
    absolute = authority_of(seen.target)
    out: Pairs = []
    if absolute and not any(n == "host" for n, _ in fields):
        out.append((b"host", absolute))
    for name, value in fields:
        if name == "host" and absolute:
            out.append((b"host", absolute))
        elif name == "te" and not seen.status and any(t.strip().lower() == b"trailers" for t in value.split(b",")):
            out.append((b"te", b"trailers"))
        elif name in never or (name in named and name not in _ALWAYS_FORWARDED):
            continue
        else:
            out.append((name.encode(), value))
    if seen.minor == b"1.0" and not seen.status:
        out = [f for f in out if f[0] != b"expect"]
    if seen.status == 204 or 100 <= seen.status < 200:
        out = [f for f in out if f[0] != b"content-length"]
    return out


def forwarded_trailers(seen: Seen) -> Pairs:
    """The trailers of a message that are to be passed on, by RFC 9110 section 6.5.1."""
    return [(n, v) for n, v in seen.trailers if n.decode() not in _NOT_IN_TRAILERS]


def authority_of(target: bytes) -> bytes:
    """The authority of an absolute-form target, else nothing."""
    return b"" if target[:1] in (b"/", b"*") or b"://" not in target else urlsplit(target).netloc


def origin_form(method: bytes, target: bytes) -> bytes:
    """The target as it is sent on (RFC 9112 sections 3.2.1 and 3.2.4)."""
    if not authority_of(target):
        return target
    parts = urlsplit(target)
    if method == b"OPTIONS" and not parts.path and b"?" not in target:
        return b"*"
    return (parts.path or b"/") + (b"?" + parts.query if b"?" in target else b"")
