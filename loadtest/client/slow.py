"""A caller that reads slowly, down to the window that it offers on the wire."""

from __future__ import annotations

import asyncio
import socket
from time import monotonic
from typing import TYPE_CHECKING

from loadtest.client.connection import Connection

if TYPE_CHECKING:
    from loadtest.client.call import Call
    from loadtest.client.plan import Address
    from loadtest.client.pool import Pool

TICK_S = 0.01
"""How often a slow reader may look, at least."""
_LEAST_BUFFER_BYTES = 2048
"""About what the kernel allows at least (tcp(7), SO_RCVBUF)."""


class SlowConnection(Connection):
    """Reads an answer at the kind's `read_rate`. Its receive buffer is small, so that the peer has to wait as well."""

    __slots__ = ("_begun_s", "_rate", "_read_bytes")

    def __init__(self, pool: Pool, call: Call) -> None:
        super().__init__(pool, call)
        self._rate = call.kind.read_rate
        self._begun_s = 0.0
        self._read_bytes = 0

    async def dial(self, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        """The buffer has to be small before the connection is made: the window is agreed upon then."""
        family, kind, protocol, _, place = (await loop.getaddrinfo(*address, type=socket.SOCK_STREAM))[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, max(_LEAST_BUFFER_BYTES, int(self._rate * TICK_S)))
            await loop.sock_connect(sock, place)
            await loop.create_connection(self._itself, sock=sock)
        except BaseException:
            sock.close()
            raise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._begun_s = monotonic()
        super().connection_made(transport)
        if self.transport is not None:
            self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.pause_reading()
        self._read_bytes += len(data)
        super().data_received(data)

    def read_on(self, now_s: float) -> None:
        """Once more, if what was read so far was not too much for the time. The connection is open."""
        if self._read_bytes <= (now_s - self._begun_s) * self._rate:
            assert self.transport is not None
            self.transport.resume_reading()
