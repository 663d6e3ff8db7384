"""The request parser: what a client sends, cut into requests or refused."""

from __future__ import annotations

import re
from typing import Final, Protocol

from meshproxy.http1.chunked import BARE_LF, ChunkedDecoder
from meshproxy.http1.error import HEAD_BYTES, LEADING_EMPTY_LINES, ProtocolError
from meshproxy.http1.field import (
    COUNT,
    DROP,
    FORWARDED_PROTO,
    HOST,
    LENGTH,
    RARE,
    REQUEST_ID,
    REQUEST_KINDS,
    BlockMemo,
    FieldMemo,
)
from meshproxy.policy.message import CHUNKED, NO_BODY, Field, RequestHead, RequestLine, field, serialize

_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])")
_VERSIONED: Final = re.compile(rb"[^ ]+ [^ ]+ HTTP/[0-9]\.[0-9]")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)([/?].*)?", re.IGNORECASE)
# uri-host [ ":" port ] (RFC 3986): a registered name or IPv4 address, or an IP literal in brackets. No userinfo, and no
# comma, at which others cut a list.
_AUTHORITY: Final = re.compile(
    rb"(?:(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?"
)

# What `Connection` cannot name away: fields that route, frame, identify or trace (CVE-2022-31813).
_NOT_NOMINATED: Final = frozenset(
    (
        b"host", b"content-length", b"transfer-encoding", b"forwarded", b"x-forwarded-for", b"x-forwarded-host",
        b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-client-cert", b"x-real-ip", b"x-request-id",
        b"traceparent", b"tracestate",
        b"authorization", b"cookie", b"close", b"keep-alive", b"te",
    )
)  # fmt: skip

_MEMO_LINES = 2_048
_MEMO_LINE_BYTES = 512


class RequestSink(Protocol):
    """What hears of a connection's requests. The parser waits after each until `resume` is called."""

    def on_request(self, head: RequestHead, data: bytes, is_end: bool) -> None:
        """A head, with what came of the body in the same read."""

    def on_request_data(self, data: bytes) -> None: ...

    def on_request_end(self, data: bytes, trailers: list[Field]) -> None:
        """The body's last piece, possibly empty, and its trailers."""


class RequestGrammar:
    """What request parsers of a process share: the memos of request lines and fields."""

    __slots__ = ("blocks", "fields", "lines")

    def __init__(self, kinds: dict[bytes, int] = REQUEST_KINDS) -> None:
        self.fields = FieldMemo(kinds)
        self.lines: dict[bytes, RequestLine] = {}
        # Fields of whole heads that ask nothing of the connection: (fields, authority, length, ids, protos).
        self.blocks: BlockMemo[tuple[list[Field], bytes, int, int, int]] = BlockMemo()

    def parse_line(self, line: bytes) -> RequestLine:
        """Parse a request line that is not in the memo; raises ProtocolError."""
        match = _REQUEST_LINE.fullmatch(line)
        if not match:
            if _VERSIONED.fullmatch(line) and not line.endswith((b"/1.0", b"/1.1")):
                raise ProtocolError("HTTP version other than 1.0 and 1.1")
            raise ProtocolError("malformed request line")
        method, target, minor = match[1], match[2], match[3] == b"1"
        authority = b""
        if target[:1] != b"/":
            absolute = _ABSOLUTE.fullmatch(target)
            if absolute and method != b"CONNECT":
                authority = absolute[1]
                if not _AUTHORITY.fullmatch(authority):
                    raise ProtocolError("malformed authority in the request target")
                # Without path and query, OPTIONS asks about the server as a whole (RFC 9112 section 3.2.4).
                target = absolute[2] or (b"*" if method == b"OPTIONS" else b"/")
                if target[:1] == b"?":
                    target = b"/" + target
            elif not (target == b"*" and method == b"OPTIONS") and not (
                method == b"CONNECT" and _AUTHORITY.fullmatch(target)
            ):
                raise ProtocolError("request target in none of HTTP's forms")
        elif method == b"CONNECT":
            raise ProtocolError("request target in none of HTTP's forms")
        parsed = RequestLine(method, target, authority, int(minor))
        if len(line) <= _MEMO_LINE_BYTES:
            if len(self.lines) >= _MEMO_LINES:
                self.lines.clear()
            self.lines[line] = parsed
        return parsed


# Where a parser stands. Plain numbers: an enum's members cost 50 ns a look-up.
HEAD: Final = 0
LENGTH_BODY: Final = 1
CHUNKED_BODY: Final = 2
DONE: Final = 3  # the message is complete; what follows waits
TUNNEL: Final = 4  # everything is data, for ever
DEAD: Final = 5  # a message was refused; nothing more is read


class RequestParser:
    """Parses one connection's requests, one at a time.

    `feed` raises ProtocolError and is then dead. Between `on_request` (or `on_request_end`) and `resume`, what arrives
    is buffered: the owner stops reading when `buffered_bytes` grows.
    """

    __slots__ = (
        "_blocks_get", "_chunks", "_empty_lines", "_grammar", "_lines_get", "_remaining", "_scanned", "_sink", "_state",
        "buffer",
    )  # fmt: skip

    def __init__(self, grammar: RequestGrammar, sink: RequestSink) -> None:
        self._grammar = grammar
        self._lines_get = grammar.lines.get
        self._blocks_get = grammar.blocks.get
        self._sink = sink
        self._state = HEAD
        self.buffer = b""  # what waits: a part of a head, or what follows the current request
        self._scanned = 0  # how far the buffered part of a head was searched for its end
        self._remaining = 0
        self._empty_lines = 0
        self._chunks: ChunkedDecoder | None = None

    @property
    def buffered_bytes(self) -> int:
        return len(self.buffer)

    @property
    def is_idle(self) -> bool:
        """Whether the connection is between requests, with nothing of the next one received."""
        return self._state == HEAD and not self.buffer

    @property
    def is_in_body(self) -> bool:
        return LENGTH_BODY <= self._state <= CHUNKED_BODY

    def resume(self) -> None:
        """Go on to the next request; the owner then feeds nothing (`b""`) if something is buffered.

        Before the current request is complete, or after `kill`, it does nothing: a body is never read as a head.
        """
        if self._state == DONE:
            self._state = HEAD

    def tunnel(self) -> bytes:
        """Turn everything after the current request into data; returns what is buffered of it."""
        self._state = TUNNEL
        rest, self.buffer = self.buffer, b""
        return rest

    def kill(self) -> None:
        """Read nothing more; what comes is dropped."""
        self._state = DEAD
        self.buffer = b""

    def feed(self, data: bytes) -> None:
        """Take what was read and call the sink for all that is in it."""
        state = self._state
        if self.buffer and state != DEAD:
            data = self.buffer + data
            self.buffer = b""
        while data:
            if state == HEAD:
                end = data.find(b"\r\n\r\n", self._scanned)
                if end <= 0:
                    rest = self._without_empty_lines(data)
                    if rest is data:
                        self._keep_partial_head(data)
                        return
                    data = rest
                    continue
                self._scanned = 0
                data = self._take_head(data, end)
            elif state == LENGTH_BODY:
                data = self._take_length(data)
            elif state == CHUNKED_BODY:
                data = self._take_chunked(data)
            elif state == TUNNEL:
                self._sink.on_request_data(data)
                return
            elif state == DONE:
                self.buffer = data
                return
            else:
                return
            state = self._state

    def _without_empty_lines(self, data: bytes) -> bytes:
        """Drop empty lines before a request line (RFC 9112 section 2.2), a bounded number of them."""
        while data.startswith(b"\r\n"):
            self._empty_lines += 1
            if self._empty_lines > LEADING_EMPTY_LINES:
                self._state = DEAD
                raise ProtocolError("too many empty lines before a request")
            data = data[2:]
            self._scanned = 0
        return data

    def _keep_partial_head(self, data: bytes) -> None:
        """Keep it until there is more; refuse early what can never become a head."""
        rule = ""
        if len(data) > HEAD_BYTES + 3:
            self._state = DEAD
            raise ProtocolError("request head too large", is_oversized=True)
        if BARE_LF.search(data, self._scanned):
            rule = "bare LF"
        elif data[0] not in _TOKEN_BYTES and data != b"\r":
            rule = "malformed request line"
        if rule:
            self._state = DEAD
            raise ProtocolError(rule)
        self.buffer = data
        self._scanned = max(0, len(data) - 3)

    def _take_head(self, data: bytes, end: int) -> bytes:
        eol = data.find(b"\r\n", 0, end + 2)
        if eol == 0:
            return self._without_empty_lines(data)
        if end > HEAD_BYTES:
            self._state = DEAD
            raise ProtocolError("request head too large", is_oversized=True)
        self._empty_lines = 0
        raw_line = data[:eol]
        block = data[eol + 2 : end + 2]
        try:
            line = self._lines_get(raw_line) or self._grammar.parse_line(raw_line)
            known = self._blocks_get(block)
            if known is not None and line.is_ordinary:
                fields, authority, length, ids, protos = known
                head = RequestHead(line, fields, block, authority, length, True, False, b"", ids, protos)
            else:
                head = self._parse_fields(line, block)
                length = head.length
        except ProtocolError:
            self._state = DEAD
            raise
        rest = data[end + 4 :]
        if length == NO_BODY:
            self._state = DONE
            self._sink.on_request(head, b"", True)
            return rest
        if length > 0:
            available = len(rest)
            if available < length:
                self._remaining = length - available
                self._state = LENGTH_BODY
                self._sink.on_request(head, rest, False)
                return b""
            self._state = DONE
            self._sink.on_request(head, rest[:length], True)
            return rest[length:]
        self._chunks = ChunkedDecoder(self._grammar.fields)
        self._state = CHUNKED_BODY
        self._sink.on_request(head, b"", False)
        return rest

    def _parse_fields(self, line: RequestLine, block: bytes) -> RequestHead:
        """Parse fields that are not remembered as a whole. `block` is empty, or ends with its last field's CRLF."""
        fields, seen, is_familiar = self._grammar.fields.fields(block[:-2]) if block else ([], 0, True)
        length = NO_BODY
        keep_alive = line.minor == 1
        expect_continue = False
        upgrade = b""
        lengths = seen & COUNT
        if lengths:
            if lengths > 1:
                raise ProtocolError("several Content-Length fields")
            length = _number(fields)
        authority = line.authority
        hosts = seen // HOST & COUNT
        if hosts == 1:
            if not authority:
                authority = _host(fields)
                if not authority or not _is_authority(authority):
                    raise ProtocolError("malformed Host")
            elif not _is_authority(_host(fields)):
                raise ProtocolError("malformed Host")
        elif hosts or line.minor:
            raise ProtocolError("several Host fields" if hosts else "no Host field")
        if seen & _UNUSUAL or not keep_alive or line.authority:
            rare = _Connection(line, fields)
            if rare.is_chunked:
                if lengths:
                    raise ProtocolError("both Content-Length and Transfer-Encoding")
                length = CHUNKED
            fields = rare.fields
            block = serialize(fields)
            keep_alive = rare.keep_alive
            expect_continue = rare.expect_continue
            if length == NO_BODY:  # a body before the tunnel would blur where the one ends and the other begins
                upgrade = rare.upgrade
        ids = seen // REQUEST_ID & COUNT
        protos = seen // FORWARDED_PROTO & COUNT
        if is_familiar and line.is_ordinary and not seen & _UNUSUAL:
            self._grammar.blocks.remember(block, fields, (fields, authority, length, ids, protos))
        return RequestHead(
            line, fields, block, authority, length, keep_alive, expect_continue, upgrade, ids, protos
        )  # fmt: skip

    def _take_length(self, data: bytes) -> bytes:
        remaining = self._remaining
        if len(data) < remaining:
            self._remaining = remaining - len(data)
            self._sink.on_request_data(data)
            return b""
        self._remaining = 0
        self._state = DONE
        if len(data) == remaining:
            self._sink.on_request_end(data, [])
            return b""
        self._sink.on_request_end(data[:remaining], [])
        return data[remaining:]

    def _take_chunked(self, data: bytes) -> bytes:
        chunks = self._chunks
        assert chunks is not None
        try:
            body = chunks.feed(data)
        except ProtocolError:
            self._state = DEAD
            raise
        if not chunks.is_done:
            if body:
                self._sink.on_request_data(body)
            return b""
        self._chunks = None
        self._state = DONE
        self._sink.on_request_end(body, chunks.trailers)
        return chunks.rest


_UNUSUAL: Final = COUNT * DROP | COUNT * RARE
_TOKEN_BYTES: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_AUTHORITIES: set[bytes] = set()
_MEMO_AUTHORITIES = 1_024
_MEMO_AUTHORITY_BYTES = 256


def _is_authority(value: bytes) -> bool:
    if value in _AUTHORITIES:
        return True
    if not _AUTHORITY.fullmatch(value):
        return False
    if len(value) <= _MEMO_AUTHORITY_BYTES:
        if len(_AUTHORITIES) >= _MEMO_AUTHORITIES:
            _AUTHORITIES.clear()
        _AUTHORITIES.add(value)
    return True


def _number(fields: list[Field]) -> int:
    for f in fields:
        if f[4] == LENGTH:
            return f[5]
    return 0


def _host(fields: list[Field]) -> bytes:
    for f in fields:
        if f[4] == HOST:
            return f[2]
    return b""


class _Connection:
    """The hop-by-hop side of a head that has one: what is dropped, and what it asks of the connection."""

    __slots__ = ("expect_continue", "fields", "is_chunked", "keep_alive", "upgrade")

    def __init__(self, line: RequestLine, fields: list[Field]) -> None:
        options = connection_options(fields)
        self.is_chunked = False
        self.expect_continue = False
        self.upgrade = b""
        self.keep_alive = b"close" not in options and (line.minor == 1 or b"keep-alive" in options)
        kept: list[Field] = []
        if line.authority and not _host(fields):  # HTTP/1.0; what we send on is HTTP/1.1
            kept.append(field(b"Host", line.authority))
        for f in fields:
            kind = f[4]
            name = f[0]
            if kind == DROP:
                continue
            if kind == RARE:
                if name == b"expect":
                    if line.minor:  # RFC 9110 section 10.1.1: in HTTP/1.0 it means nothing
                        self.expect_continue = self.expect_continue or f[2].lower() == b"100-continue"
                        kept.append(f)
                else:
                    kept.extend(self._take_hop(line, f, options))
            elif kind == HOST and line.authority:
                kept.append((name, f[1], line.authority, f[1] + b": " + line.authority, HOST, 0))
            elif name not in options or name in _NOT_NOMINATED:
                kept.append(f)
        self.fields = kept

    def _take_hop(self, line: RequestLine, f: Field, options: frozenset[bytes]) -> list[Field]:
        """Take one hop-by-hop field; returns what of it travels on."""
        name, value = f[0], f[2].lower()
        if name == b"transfer-encoding":
            if line.minor == 0:
                raise ProtocolError("Transfer-Encoding in HTTP/1.0")
            if self.is_chunked or value != b"chunked":
                raise ProtocolError("Transfer-Encoding other than a single chunked")
            self.is_chunked = True
        elif name == b"upgrade":
            if value == b"websocket" and b"upgrade" in options and line.minor == 1 and line.method == b"GET":
                self.upgrade = value
        elif name == b"te" and b"trailers" in [token.strip(b" \t") for token in value.split(b",")]:
            return [(b"te", b"TE", b"trailers", b"TE: trailers", 0, 0)]
        return []


def connection_options(fields: list[Field]) -> frozenset[bytes]:
    """Return all options of all Connection fields, in lower case (RFC 9110 section 7.6.1)."""
    return frozenset(
        token.strip(b" \t") for f in fields if f[0] == b"connection" for token in f[2].lower().split(b",")
    )  # fmt: skip
