"""Heads of requests and responses, as every codec makes them and every policy reads them.

A field is a tuple `(lowered name, name, value, line, kind, number)`: the names in lower case and as sent, `line` the
field as it stood on the wire without its line end, `kind` the codec's own classification (0: nothing special), `number`
its parsed value where the codec needs one (Content-Length). Policies read positions 0 and 2 only.

First lines are immutable and shared between requests; heads belong to one message.
"""

from __future__ import annotations

from typing import TypeAlias

Field: TypeAlias = tuple[bytes, bytes, bytes, bytes, int, int]

NO_BODY = 0
"""`length` of a message without a body, or with a Content-Length of 0."""
CHUNKED = -1
"""`length` of a body whose end is marked in the stream (chunked, or HTTP/2 without a length)."""
UNTIL_CLOSE = -2
"""`length` of a response whose body ends with the connection."""


def field(name: bytes, value: bytes) -> Field:
    """Make a field that the proxy adds itself."""
    return (name.lower(), name, value, name + b": " + value, 0, 0)


_UNUSUAL_METHODS = (b"HEAD", b"CONNECT")


class RequestLine:
    """Method, target and version. `line` is what is sent on: origin form, HTTP/1.1, with its CRLF."""

    __slots__ = ("authority", "is_ordinary", "is_usual", "line", "method", "minor", "path", "query", "target")

    def __init__(self, method: bytes, target: bytes, authority: bytes, minor: int) -> None:
        self.method = method
        self.target = target  # origin form: path and query, or `*`
        self.authority = authority  # of an absolute-form target, else empty
        self.minor = minor
        self.is_ordinary = minor == 1 and not authority  # the fields alone say the rest
        self.is_usual = minor == 1 and method not in _UNUSUAL_METHODS  # the response needs no special framing
        path, _, query = target.partition(b"?")
        self.path = path
        self.query = query
        self.line = b"%b %b HTTP/1.1\r\n" % (method, target)


class RequestHead:
    """A request's head. `fields` are the end-to-end fields; `block` is their serialized form, each with its CRLF."""

    __slots__ = (
        "authority", "block", "expect_continue", "fields", "has_forwarded_proto", "has_request_id", "keep_alive",
        "length", "line", "upgrade",
    )  # fmt: skip

    def __init__(
        self,
        line: RequestLine,
        fields: list[Field],
        block: bytes,
        authority: bytes,
        length: int,
        keep_alive: bool,
        expect_continue: bool,
        upgrade: bytes,
        has_request_id: int,
        has_forwarded_proto: int,
    ) -> None:
        self.line = line
        self.fields = fields
        self.block = block
        self.authority = authority  # the Host, or an absolute target's; empty in an HTTP/1.0 request without Host
        self.length = length  # in bytes, or CHUNKED
        self.keep_alive = keep_alive
        self.expect_continue = expect_continue
        self.upgrade = upgrade  # b"websocket" when the connection is asked to become one
        self.has_request_id = has_request_id
        self.has_forwarded_proto = has_forwarded_proto

    def replace_fields(self, fields: list[Field]) -> None:
        """Take edited fields and serialize them anew."""
        names = [f[0] for f in fields]
        self.fields = fields
        self.block = serialize(fields)
        self.has_request_id = names.count(b"x-request-id")
        self.has_forwarded_proto = names.count(b"x-forwarded-proto")

    def value_of(self, lowered: bytes) -> bytes:
        """Return the first value of a field, or nothing."""
        return value_of(self.fields, lowered)


class StatusLine:
    """Status and reason. `line` is what is sent on: HTTP/1.1, with its CRLF."""

    __slots__ = ("line", "minor", "reason", "status")

    def __init__(self, status: int, reason: bytes, minor: int) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.line = b"HTTP/1.1 %d %b\r\n" % (status, reason)


class ResponseHead:
    """A response's head, or an interim (1xx) one. `fields` and `block` as in a request."""

    __slots__ = ("block", "fields", "has_length", "keep_alive", "length", "line", "status", "upgrade")

    def __init__(
        self,
        line: StatusLine,
        fields: list[Field],
        block: bytes,
        length: int,
        has_length: int,
        keep_alive: bool,
        upgrade: bytes = b"",
    ) -> None:
        self.line = line
        self.status = line.status
        self.fields = fields
        self.block = block
        self.length = length  # in bytes, CHUNKED or UNTIL_CLOSE; 0 where status or method allow no body
        self.has_length = has_length  # a Content-Length stands in the fields (also of an answer to HEAD)
        self.keep_alive = keep_alive
        self.upgrade = upgrade

    def replace_fields(self, fields: list[Field]) -> None:
        """Take edited fields and serialize them anew."""
        self.fields = fields
        self.block = serialize(fields)


def serialize(fields: list[Field]) -> bytes:
    """Write fields as HTTP/1 lines, each with its CRLF."""
    return b"\r\n".join([f[3] for f in fields]) + b"\r\n" if fields else b""


def value_of(fields: list[Field], lowered: bytes) -> bytes:
    """Return the first value of a field, or nothing."""
    for f in fields:
        if f[0] == lowered:
            return f[2]
    return b""
