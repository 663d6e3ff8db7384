"""The response parser: what an endpoint answers, held against what it was asked."""

from __future__ import annotations

import re
from typing import Final, Protocol

from meshproxy.http1.chunked import BARE_LF, ChunkedDecoder
from meshproxy.http1.error import HEAD_BYTES, ProtocolError
from meshproxy.http1.field import COUNT, DROP, LENGTH, RARE, RESPONSE_KINDS, BlockMemo, FieldMemo
from meshproxy.http1.request import connection_options
from meshproxy.policy.message import CHUNKED, NO_BODY, UNTIL_CLOSE, Field, ResponseHead, StatusLine, serialize

# The reason may be empty, and servers are seen to leave out the space before it as well (RFC 9112 section 4).
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_MEMO_LINES = 512
_MEMO_LINE_BYTES = 128
_UNUSUAL: Final = COUNT * DROP | COUNT * RARE

# What an answer's `Connection` cannot name away.
_NOT_NOMINATED: Final = frozenset(
    (
        b"content-length", b"transfer-encoding", b"set-cookie", b"www-authenticate", b"proxy-status", b"x-request-id",
        b"traceparent", b"close", b"keep-alive",
    )
)  # fmt: skip

_WITHOUT_BODY: Final = frozenset((204, 304))

MAX_INTERIM = 16
"""Interim (1xx) responses before the final one."""


class ResponseSink(Protocol):
    """What hears of the responses of one connection."""

    def on_response(self, head: ResponseHead, data: bytes, is_end: bool) -> None:
        """A final head, with what came of the body in the same read."""

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx response other than 101."""

    def on_upgrade(self, head: ResponseHead) -> None:
        """A 101 that was asked for: from here on everything is data."""

    def on_response_data(self, data: bytes) -> None: ...

    def on_response_end(self, data: bytes, trailers: list[Field]) -> None:
        """The body's last piece, possibly empty, and its trailers."""


class ResponseGrammar:
    """What response parsers of a process share: the memos of status lines and fields."""

    __slots__ = ("blocks", "fields", "lines")

    def __init__(self) -> None:
        self.fields = FieldMemo(RESPONSE_KINDS)
        self.lines: dict[bytes, StatusLine] = {}
        # Fields of whole heads: (fields, block to send on, length, has_length).
        self.blocks: BlockMemo[tuple[list[Field], bytes, int, int]] = BlockMemo()

    def parse_line(self, line: bytes) -> StatusLine:
        """Parse a status line that is not in the memo; raises ProtocolError."""
        match = _STATUS_LINE.fullmatch(line)
        if not match:
            raise ProtocolError("malformed status line")
        parsed = StatusLine(int(match[2]), match[3] or b"", int(match[1]))
        if len(line) <= _MEMO_LINE_BYTES:
            if len(self.lines) >= _MEMO_LINES:
                self.lines.clear()
            self.lines[line] = parsed
        return parsed


# Where a parser stands; plain numbers, as in the request parser.
IDLE: Final = 0  # nothing was asked: whatever comes is a fault
HEAD: Final = 1
LENGTH_BODY: Final = 2
CHUNKED_BODY: Final = 3
CLOSE_BODY: Final = 4
TUNNEL: Final = 5
DEAD: Final = 6


class ResponseParser:
    """Parses one connection's responses, each announced by `expect`. `feed` raises ProtocolError and is then dead.

    `has_excess` tells that bytes followed a response that nobody asked for: the response is whole, the connection is
    not to be used again.
    """

    __slots__ = (
        "_asked_upgrade", "_blocks_get", "_buffer", "_chunks", "_grammar", "_interims", "_is_head_request",
        "_lines_get", "_remaining", "_scanned", "_state", "has_excess", "keep_alive", "sink",
    )  # fmt: skip

    def __init__(self, grammar: ResponseGrammar, sink: ResponseSink) -> None:
        self.sink = sink
        self._grammar = grammar
        self._lines_get = grammar.lines.get
        self._blocks_get = grammar.blocks.get
        self._state = IDLE
        self._buffer = b""
        self._scanned = 0
        self._remaining = 0
        self._chunks: ChunkedDecoder | None = None
        self._is_head_request = False
        self._asked_upgrade = False
        self._interims = 0
        self.has_excess = False
        self.keep_alive = True  # what the latest head said of the connection

    @property
    def is_reusable(self) -> bool:
        """Whether the connection may carry another exchange: the last response is whole, nothing speaks against it."""
        return self._state == IDLE and self.keep_alive and not self.has_excess

    @property
    def has_begun(self) -> bool:
        """Whether any byte of the expected response has been received."""
        return self._state != HEAD or bool(self._buffer) or self._interims > 0

    def expect(self, method: bytes, upgrade: bytes) -> None:
        """Await the response to a request of this method; `upgrade` is the protocol that it asked for, if any.

        Only on a connection that is idle: a parser that is dead or amid a response would misread what comes.
        """
        assert self._state == IDLE
        self._state = HEAD
        self._is_head_request = method == b"HEAD"
        self._asked_upgrade = bool(upgrade)
        self._interims = 0

    def kill(self) -> None:
        """Read nothing more; what comes is dropped."""
        self._state = DEAD
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        """Take what was read and call the sink for all that is in it."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        state = self._state
        while data:
            if state == HEAD:
                end = data.find(b"\r\n\r\n", self._scanned)
                if end < 0:
                    self._keep_partial_head(data)
                    return
                self._scanned = 0
                try:
                    data = self._take_head(data, end)
                except ProtocolError:
                    self.kill()
                    raise
            elif state == LENGTH_BODY:
                data = self._take_length(data)
            elif state == CHUNKED_BODY:
                data = self._take_chunked(data)
            elif CLOSE_BODY <= state <= TUNNEL:
                self.sink.on_response_data(data)
                return
            elif state == IDLE:
                self.kill()
                self.has_excess = True
                return
            else:
                return
            state = self._state

    def eof(self) -> bool:
        """Take the connection's end. Returns whether a response is thereby cut short (or never came).

        A tunnel may end at any time.
        """
        state = self._state
        self._state = DEAD
        if state == CLOSE_BODY:
            self.sink.on_response_end(b"", [])
            return False
        return state in _CUT_SHORT

    def _keep_partial_head(self, data: bytes) -> None:
        if len(data) > HEAD_BYTES + 3:
            self.kill()
            raise ProtocolError("response head too large", is_oversized=True)
        if not b"HTTP/1.".startswith(data[:7]) or BARE_LF.search(data, self._scanned):
            self.kill()
            raise ProtocolError("not an HTTP/1.1 response")
        self._buffer = data
        self._scanned = max(0, len(data) - 3)

    def _take_head(self, data: bytes, end: int) -> bytes:
        if end > HEAD_BYTES:
            raise ProtocolError("response head too large", is_oversized=True)
        eol = data.find(b"\r\n", 0, end + 2)
        raw_line = data[:eol]
        line = self._lines_get(raw_line) or self._grammar.parse_line(raw_line)
        status = line.status
        block = data[eol + 2 : end + 2]
        known = self._blocks_get(block)
        if known is not None and line.minor == 1:
            fields, block, length, has_length = known
            self.keep_alive = True
            head = ResponseHead(line, fields, block, length, has_length, True)
        else:
            head = self._parse_fields(line, block)
            length = head.length
        rest = data[end + 4 :]
        if status < 200:
            return self._take_interim(head, rest)
        if self._is_head_request or status in _WITHOUT_BODY:
            length = head.length = NO_BODY
            if status == 204:
                _drop_length(head)
        if length == NO_BODY:
            return self._finish(head, b"", rest)
        if length > 0:
            available = len(rest)
            if available < length:
                self._remaining = length - available
                self._state = LENGTH_BODY
                self.sink.on_response(head, rest, False)
                return b""
            if available == length:
                return self._finish(head, rest, b"")
            return self._finish(head, rest[:length], rest[length:])
        if length == UNTIL_CLOSE:
            self._state = CLOSE_BODY
            self.sink.on_response(head, rest, False)
            return b""
        self._chunks = chunks = ChunkedDecoder(self._grammar.fields)
        self._state = CHUNKED_BODY
        body = chunks.feed(rest) if rest else b""
        if chunks.is_done and not chunks.trailers:
            self._chunks = None
            return self._finish(head, body, chunks.rest)
        self.sink.on_response(head, body, False)
        if chunks.is_done and self._state == CHUNKED_BODY:  # the sink may have killed us
            return self._end_chunks(b"", chunks)
        return b""

    def _finish(self, head: ResponseHead, body: bytes, rest: bytes) -> bytes:
        """Deliver a response that is complete with its head."""
        self._state = IDLE
        if rest:
            self.kill()
            self.has_excess = True
        self.sink.on_response(head, body, True)
        return b""

    def _parse_fields(self, line: StatusLine, block: bytes) -> ResponseHead:
        """Parse fields that are not remembered as a whole. `block` is empty, or ends with its last field's CRLF."""
        fields, seen, is_familiar = self._grammar.fields.fields(block[:-2]) if block else ([], 0, True)
        received = block
        length = UNTIL_CLOSE
        lengths = seen & COUNT
        if lengths:
            if lengths > 1:
                raise ProtocolError("several Content-Length fields")
            for f in fields:
                if f[4] == LENGTH:
                    length = f[5]
                    break
        keep_alive = line.minor == 1
        upgrade = b""
        if seen & _UNUSUAL or not keep_alive:
            if seen & (COUNT * RARE) or not keep_alive:
                options = connection_options(fields)
                keep_alive = b"close" not in options and (keep_alive or b"keep-alive" in options)
                if _is_chunked(fields, line):
                    if lengths:
                        raise ProtocolError("both Content-Length and Transfer-Encoding")
                    length = CHUNKED
                if b"upgrade" in options:
                    upgrade = next((f[2].lower() for f in fields if f[0] == b"upgrade"), b"")
                fields = [
                    f for f in fields if f[4] < DROP and (f[0] not in options or f[0] in _NOT_NOMINATED)
                ]  # fmt: skip
            else:
                fields = [f for f in fields if f[4] != DROP]
            block = serialize(fields)
        if is_familiar and line.minor == 1 and not seen & (COUNT * RARE):
            self._grammar.blocks.remember(received, fields, (fields, block, length, lengths))
        self.keep_alive = keep_alive
        return ResponseHead(line, fields, block, length, lengths, keep_alive, upgrade)

    def _take_interim(self, head: ResponseHead, rest: bytes) -> bytes:
        _drop_length(head)
        head.length = NO_BODY
        if head.status == 101:
            if not self._asked_upgrade or head.upgrade != b"websocket":
                raise ProtocolError("101 that was not asked for")
            self._state = TUNNEL
            self.sink.on_upgrade(head)
            return rest
        self._interims += 1
        if self._interims > MAX_INTERIM:
            raise ProtocolError("too many interim responses")
        self.sink.on_interim(head)
        return rest

    def _take_length(self, data: bytes) -> bytes:
        remaining = self._remaining
        available = len(data)
        if available < remaining:
            self._remaining = remaining - available
            self.sink.on_response_data(data)
            return b""
        self._remaining = 0
        self._state = IDLE
        if available > remaining:
            data = data[:remaining]
            self.kill()
            self.has_excess = True
        self.sink.on_response_end(data, [])
        return b""

    def _take_chunked(self, data: bytes) -> bytes:
        chunks = self._chunks
        assert chunks is not None
        try:
            body = chunks.feed(data)
        except ProtocolError:
            self.kill()
            raise
        if chunks.is_done:
            return self._end_chunks(body, chunks)
        if body:
            self.sink.on_response_data(body)
        return b""

    def _end_chunks(self, body: bytes, chunks: ChunkedDecoder) -> bytes:
        self._chunks = None
        self._state = IDLE
        if chunks.rest:
            self.kill()
            self.has_excess = True
        self.sink.on_response_end(body, chunks.trailers)
        return b""


_CUT_SHORT: Final = frozenset((HEAD, LENGTH_BODY, CHUNKED_BODY))


def _drop_length(head: ResponseHead) -> None:
    """Take the length from a 1xx or 204, which must not have one (RFC 9110 section 8.6): a client might believe it."""
    if head.has_length:
        head.replace_fields([f for f in head.fields if f[4] != LENGTH])
        head.has_length = 0


def _is_chunked(fields: list[Field], line: StatusLine) -> bool:
    codings = [f[2].lower() for f in fields if f[0] == b"transfer-encoding"]
    if not codings:
        return False
    if line.minor == 0:
        raise ProtocolError("Transfer-Encoding in HTTP/1.0")
    if codings != [b"chunked"]:
        raise ProtocolError("Transfer-Encoding other than a single chunked")
    return True
