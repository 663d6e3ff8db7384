"""What a client sends on a WebSocket, put together to messages (RFC 6455 5). Pure."""

from __future__ import annotations

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
"""Opcodes (RFC 6455 5.2)."""
UNFINISHED = 0x0
"""In place of an opcode: a fragment, of which others are still to come."""

PROTOCOL_ERROR, TOO_BIG = 1002, 1009
"""Codes of closes (RFC 6455 7.4.1)."""

_FINAL, _RESERVED, _MASKED = 0x80, 0x70, 0x80
_OPCODES = frozenset({UNFINISHED, TEXT, BINARY, CLOSE, PING, PONG})
_WHOLE_TEXT = _FINAL | TEXT
_UNMASKED = bytes(4)


class FrameError(Exception):
    """The client did what RFC 6455 does not allow, or too much; nothing that follows can be understood."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Messages:
    """Of one client. A message has at most `limit` bytes, in however many fragments; it may be set at any time."""

    __slots__ = ("_buffer", "_opcode", "_parts", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._opcode = UNFINISHED  # of the message whose fragments are being collected
        self._parts = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> tuple[int, bytes] | None:
        """Return the next message (opcode, payload), or UNFINISHED; None: more is to be fed. Raise FrameError."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, size, start = buffer[0], buffer[1] & 0x7F, 6
        if size > 125:
            start = 8 if size == 126 else 14
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2 : start - 4], "big")
        if first != _WHOLE_TEXT or self._opcode or size > self.limit or not buffer[1] & _MASKED:
            self._check(first, buffer[1], size)
        end = start + size
        if len(buffer) < end:
            return None
        payload = _unmasked(buffer[start:end], buffer[start - 4 : start])
        del buffer[:end]
        return self._joined(first, payload)

    def _check(self, first: int, second: int, size: int) -> None:
        opcode = first & 0xF
        if not second & _MASKED:
            raise FrameError(PROTOCOL_ERROR, "a frame is not masked")
        if first & _RESERVED or opcode not in _OPCODES:
            raise FrameError(PROTOCOL_ERROR, "a frame has reserved bits or a reserved opcode")
        if opcode >= CLOSE:
            if size > 125 or not first & _FINAL:
                raise FrameError(PROTOCOL_ERROR, "a control frame is fragmented or longer than 125 bytes")
            return
        if bool(opcode) == bool(self._opcode):
            raise FrameError(PROTOCOL_ERROR, "fragments are out of order")
        if len(self._parts) + size > self.limit:
            raise FrameError(TOO_BIG, f"a message of more than {self.limit} bytes")

    def _joined(self, first: int, payload: bytes) -> tuple[int, bytes]:
        opcode = first & 0xF
        is_final = first & _FINAL
        if opcode >= CLOSE or (is_final and opcode):
            return opcode, payload
        self._parts += payload
        self._opcode = opcode or self._opcode
        if not is_final:
            return UNFINISHED, b""
        opcode, whole = self._opcode, bytes(self._parts)
        self._opcode = UNFINISHED
        self._parts = bytearray()
        return opcode, whole


def _unmasked(payload: bytearray, mask: bytearray) -> bytes:
    if not payload or mask == _UNMASKED:
        return bytes(payload)
    size = len(payload)
    # As one large number: a loop over the bytes takes a hundred times as long.
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(payload, "little") ^ key).to_bytes(size, "little")
