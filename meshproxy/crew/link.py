"""Messages between parent and worker: frames on a socketpair, each with its length (4 bytes) before it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import cast

MAX_FRAME_BYTES = 512 * 1024 * 1024
"""The greatest resource, encoded, and some more. Both ends are ours: a greater one is a defect, and ends the link."""

_LENGTH = struct.Struct("<L")


class Link(asyncio.Protocol):
    """One end. `on_frame(data)` is called for each frame, `on_lost()` once, when the other end has gone."""

    __slots__ = ("_buffer", "_need", "_on_frame", "_on_lost", "_transport")

    def __init__(self, on_frame: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._need = _LENGTH.size

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, so this cannot be asserted.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= self._need:
            (length,) = _LENGTH.unpack_from(buffer)
            if length > MAX_FRAME_BYTES:
                raise ValueError(f"a frame of {length} bytes")
            end = _LENGTH.size + length
            if len(buffer) < end:
                # Nothing to look at again before the whole frame is there.
                self._need = end
                return
            frame = bytes(buffer[_LENGTH.size : end])
            del buffer[:end]
            self._need = _LENGTH.size
            self._on_frame(frame)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the transport's signature
        self._transport = None
        self._on_lost()

    def send(self, frame: bytes) -> None:
        """Send it, or drop it where the other end has gone: `on_lost` tells."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines((_LENGTH.pack(len(frame)), frame))

    def close(self) -> None:
        """Send what waits, then close."""
        if self._transport is not None:
            self._transport.close()
