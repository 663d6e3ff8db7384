"""Many push streams in one process, as light as can be: a push is read, its nonce found, an Ack written."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from control.push.encode import text_frame
from meshproxy.wire.resources import SCHEMA
from meshproxy.wire.stream import PATH, FromSidecar, Hello, Node, Subscribe, encode

_NONCE = re.compile(rb'"type":"push","nonce":"([0-9]+)"')
_AT_ONCE = 50
"""Connections that are being made at the same time."""


async def hold_streams(port: int, names: list[list[str]]) -> None:
    """Open one stream per list of names and serve them until the process is ended."""
    await connect([LightStream(number, follow) for number, follow in enumerate(names)], port)
    await asyncio.Event().wait()


async def connect(streams: Sequence[LightStream], port: int) -> None:
    """Open them all; what they follow is pushed by and by."""
    loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE)

    async def open_one(stream: LightStream) -> None:
        async with gate:
            await loop.create_connection(lambda: stream, "127.0.0.1", port)

    await asyncio.gather(*map(open_one, streams))


class LightStream(asyncio.Protocol):
    """Speaks as much of RFC 6455 as the push side uses; ends the process when its stream ends."""

    def __init__(self, number: int, names: list[str]) -> None:
        self._number = number
        self._names = names
        self._buffer = b""
        self._is_open = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is of no class of asyncio's
        self._transport.write(
            b"GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % PATH.encode()
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            head, mark, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not mark:
                self._buffer = head
                return
            assert b" 101 " in head, head
            self._is_open = True
            node = Node(namespace="shop", service_account="default", workload=f"w{self._number}", version="bench")
            self._send(Hello(node=node, schema=SCHEMA))
            self._send(Subscribe(names=self._names))
        while frame := self._frame():
            opcode, payload = frame
            if opcode == 0x1 and (found := _NONCE.search(payload, 0, 80)):
                self._write(0x1, b'{"type":"ack","nonce":"%s"}' % found[1])
            elif opcode == 0x9:
                self._write(0xA, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        raise SystemExit(f"a stream was lost: {exc}")

    def _send(self, message: FromSidecar) -> None:
        self._write(0x1, encode(message))

    def _write(self, opcode: int, payload: bytes) -> None:
        frame = text_frame(payload)
        head = len(frame) - len(payload)
        # Masked, as clients must, with a mask of zeros, which changes nothing.
        self._transport.write(bytes([0x80 | opcode, frame[1] | 0x80]) + frame[2:head] + bytes(4) + payload)

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._buffer
        if len(data) < 2:
            return None
        size, start = data[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return None
        self._buffer = data[start + size :]
        return data[0] & 0xF, data[start : start + size]
