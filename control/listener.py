"""Where connections come in: so many at once, so that one address cannot use up what the others need."""

from __future__ import annotations

import asyncio

from aiohttp import web

BACKLOG = 1024
"""After an outage all sidecars come at once."""


class Listener:
    """The socket of an aiohttp runner. A connection beyond `most` is closed as soon as it is there."""

    __slots__ = ("_most", "_runner", "_server")

    def __init__(self, runner: web.AppRunner, most: int) -> None:
        self._runner = runner
        self._most = most
        self._server: asyncio.Server | None = None

    async def start(self, address: tuple[str, int]) -> tuple[str, int]:
        """Listen; returns the address, with the port that was taken for 0. Raise OSError."""
        await self._runner.setup()
        self._server = await asyncio.get_running_loop().create_server(self._admit, *address, backlog=BACKLOG)
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    def close(self) -> None:
        """Accept no more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Accept no more, let what is under way finish as long as the runner says, and close."""
        self.close()
        await self._runner.cleanup()

    @property
    def connections(self) -> int:
        """How many there are."""
        serve = self._runner.server
        return len(serve.connections) if serve is not None else 0

    def _admit(self) -> asyncio.BaseProtocol:
        serve = self._runner.server
        assert serve is not None
        return serve() if self.connections < self._most else _Refusal()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
