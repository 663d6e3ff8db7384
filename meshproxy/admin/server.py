"""A listener of the admin server."""

from __future__ import annotations

import asyncio

from meshproxy.admin.connection import Connection
from meshproxy.admin.desk import Desk
from meshproxy.http1.request import RequestGrammar
from meshproxy.kit.aio.tasks import Tasks

MAX_CONNECTIONS = 64
"""The next one takes the place of the oldest that asks nothing: the descriptors are the proxy's."""


class AdminServer:
    """Serves one desk on one address. `start` once, `close` once; all in the loop's own thread."""

    __slots__ = ("_connections", "_server", "desk", "grammar", "tasks")

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.grammar = RequestGrammar()
        self._connections: dict[Connection, None] = {}  # in the order of their coming
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (chosen by the system for 0). OSError if the address cannot be had."""
        loop = asyncio.get_running_loop()
        self.tasks = Tasks(loop)
        self._server = await loop.create_server(lambda: Connection(loop, self), host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def admit(self, connection: Connection) -> bool:
        if len(self._connections) >= MAX_CONNECTIONS:
            # Whoever holds connections without asking anything must not keep a probe out.
            idle = next((other for other in self._connections if not other.is_busy), None)
            if idle is None:
                return False
            self.discard(idle)
            idle.abort()
        self._connections[connection] = None
        return True

    def discard(self, connection: Connection) -> None:
        self._connections.pop(connection, None)

    def close(self) -> None:
        """Stop listening; idle connections close at once, the others after the answer in progress."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.close()

    def abort(self) -> None:
        """Cut off what `close` has left."""
        for connection in list(self._connections):
            connection.abort()
