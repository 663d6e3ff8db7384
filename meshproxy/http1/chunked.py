"""Chunked bodies (RFC 9112 section 7.1): a strict, incremental decoder, and the encoder's pieces."""

from __future__ import annotations

import re
from typing import Final

from meshproxy.http1.error import CHUNK_EXTENSION_BYTES, CHUNK_LINE_BYTES, HEAD_BYTES, ProtocolError
from meshproxy.http1.field import CLIENT_CERTIFICATE_FIELDS, FieldMemo
from meshproxy.policy.message import Field, serialize

LAST_CHUNK: Final = b"0\r\n\r\n"

# chunk-size [ chunk-ext ]: at most 15 hexadecimal digits, so that no length overflows anybody's 64 bits.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})((?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?)")

# Fields that frame, route or authenticate a message are not taken from its trailers (RFC 9110 section 6.5.1).
_NOT_IN_TRAILERS: Final = frozenset(
    (
        b"transfer-encoding", b"content-length", b"host", b"connection", b"keep-alive", b"proxy-connection", b"te",
        b"trailer", b"upgrade", b"expect", b"authorization", b"proxy-authorization", b"cookie", b"set-cookie",
        b"max-forwards", b"cache-control", b"content-encoding", b"content-type", b"content-range",
        b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto",
        b"x-real-ip", b"forwarded", b"x-request-id", b"proxy-status", b"http2-settings", *CLIENT_CERTIFICATE_FIELDS,
    )
)  # fmt: skip


def encode_chunk(data: bytes) -> list[bytes]:
    """Frame one piece of a body, to be written without joining it. An empty piece is nothing, not the body's end."""
    return [b"%x\r\n" % len(data), data, b"\r\n"] if data else []


def encode_end(trailers: list[Field]) -> bytes:
    """Frame a body's end."""
    return b"0\r\n" + serialize(trailers) + b"\r\n" if trailers else LAST_CHUNK


class ChunkedDecoder:
    """Decodes one body. `feed` returns what it decoded; once `is_done`, `rest` is what follows the body."""

    __slots__ = (
        "_buffer",
        "_extension_bytes",
        "_in_trailers",
        "_memo",
        "_remaining",
        "_scanned",
        "is_done",
        "rest",
        "trailers",
    )

    def __init__(self, memo: FieldMemo) -> None:
        self._memo = memo
        self._buffer = b""
        self._remaining = 0  # of the current chunk, with its final CRLF; 0 between chunks
        self._extension_bytes = 0
        self._in_trailers = False
        self._scanned = 0  # how far the buffered part of the trailers was searched for their end
        self.is_done = False
        self.rest = b""
        self.trailers: list[Field] = []

    def feed(self, data: bytes) -> bytes:
        """Decode `data`; raises ProtocolError. What of a size line or of trailers is incomplete is kept, bounded."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pos = 0
        end = len(data)
        out: list[bytes] = []
        while True:
            if self._remaining:
                pos = self._take_chunk(data, pos, end, out)
                if self._remaining:
                    break
            if self._in_trailers:
                self._take_trailers(data, pos)
                break
            eol = data.find(b"\r\n", pos, pos + CHUNK_LINE_BYTES)
            if eol < 0:
                self._keep_size_line(data, pos, end)
                break
            size = self._parse_size_line(data[pos:eol])
            pos = eol + 2
            if size:
                self._remaining = size + 2
            else:
                self._in_trailers = True
        return out[0] if len(out) == 1 else b"".join(out)

    def _take_chunk(self, data: bytes, pos: int, end: int, out: list[bytes]) -> int:
        body = self._remaining - 2
        available = end - pos
        if body > 0:
            taken = min(body, available)
            if taken:
                out.append(data[pos : pos + taken])
            pos += taken
            available -= taken
            self._remaining -= taken
            if self._remaining > 2:
                return pos
        # The CRLF that ends a chunk may itself be cut in two.
        closing = data[pos : pos + self._remaining]
        if closing != b"\r\n"[2 - self._remaining :][: len(closing)]:
            raise ProtocolError("chunk longer than its size")
        self._remaining -= len(closing)
        return pos + len(closing)

    def _keep_size_line(self, data: bytes, pos: int, end: int) -> None:
        if end - pos >= CHUNK_LINE_BYTES:
            raise ProtocolError("chunk size line too long")
        line = data[pos:end]
        # Judged early, so that garbage does not wait for a line end that never comes.
        if line and not _SIZE_LINE.fullmatch(line.removesuffix(b"\r").rstrip(b" \t")):
            raise ProtocolError("malformed chunk size")
        self._buffer = line

    def _parse_size_line(self, line: bytes) -> int:
        match = _SIZE_LINE.fullmatch(line)
        if not match:
            raise ProtocolError("malformed chunk size")
        self._extension_bytes += len(match[2])
        if self._extension_bytes > CHUNK_EXTENSION_BYTES:
            raise ProtocolError("chunk extensions too long")
        return int(match[1], 16)

    def _take_trailers(self, data: bytes, pos: int) -> None:
        if data.startswith(b"\r\n", pos):
            self._finish(data, pos + 2)
            return
        end = data.find(b"\r\n\r\n", pos + self._scanned)
        if end < 0:
            rest = data[pos:]
            if len(rest) > HEAD_BYTES + 3:
                raise ProtocolError("trailers too large", is_oversized=True)
            if BARE_LF.search(rest, self._scanned):
                raise ProtocolError("bare LF in trailers")
            self._buffer = rest
            self._scanned = max(0, len(rest) - 3)
            return
        if end - pos > HEAD_BYTES:
            raise ProtocolError("trailers too large", is_oversized=True)
        fields, _, _ = self._memo.fields(data[pos:end])
        self.trailers = [f for f in fields if f[0] not in _NOT_IN_TRAILERS]
        self._finish(data, end + 4)

    def _finish(self, data: bytes, pos: int) -> None:
        self.is_done = True
        self.rest = data[pos:]


BARE_LF: Final = re.compile(rb"(?<!\r)\n")
