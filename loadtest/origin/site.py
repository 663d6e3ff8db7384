"""Where an instance listens: its address, its connections, and what happens to all of them at once."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from math import inf
from time import monotonic

from loadtest.origin import packets
from loadtest.origin.heads import Heads
from loadtest.origin.http1 import Connection
from loadtest.origin.instance import Instance, Run

BACKLOG = 4096


class SiteError(Exception):
    """An instance cannot listen; the message says where, and what to do."""


class Site:
    """The rim of one instance. `on_trouble` is told when it cannot listen again after a `refuse`."""

    def __init__(
        self, instance: Instance, address: str, port: int, run: Run, on_trouble: Callable[[str], None]
    ) -> None:
        self.instance = instance
        self.heads = Heads(instance.name, instance.number)
        self.clock = run.clock
        self.is_retiring = False
        self._run = run
        self._address = (address, port)
        self._on_trouble = on_trouble
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._whole: str | None = None
        self._is_over = False
        self._sock: socket.socket
        self._server: asyncio.Server | None = None
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Accepts connections when this returns; faults hold from the run's start on. SiteError when it cannot."""
        await self._listen()
        self.look()

    def look(self) -> None:
        """Becomes what the faults make of it, now and whenever that may change; for when the run's start is known."""
        self._on_edge(None)

    def retire(self, grace_s: float) -> None:
        """Accepts nothing more, lets requests in work finish for so long, and resets what is left then."""
        self.is_retiring = True
        if self._whole != "black_hole":  # without the listener the kernel would answer with a reset
            self._close_listener()
        for connection in list(self._connections):
            connection.retire()
        self.clock.at(monotonic() + grace_s, self._finish, None)

    def end(self) -> None:
        """Everything ends at once."""
        self.is_retiring = True
        if self._listening is not None:
            self._listening.cancel()
        self._close_listener()
        self._finish(None)

    # What connections tell.

    def on_open(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._whole == "black_hole":  # accepted by the kernel before
            connection.darken()
        elif self._whole == "refuse" or self._is_over:  # by the event loop, in the turn in which listening ended
            connection.reset()

    def on_lost(self, connection: Connection) -> None:
        self._connections.discard(connection)

    # Inside.

    def _on_edge(self, _: None) -> None:
        now_s = self._run.now_s()
        self._become(self.instance.faults.whole(now_s))
        edge_s = self.instance.faults.next_edge(now_s)
        if edge_s is not None and self._run.at < inf:
            self.clock.at(self._run.at + edge_s, self._on_edge, None)

    def _become(self, whole: str | None) -> None:
        before, self._whole = self._whole, whole
        if before == whole:
            return
        if whole == "refuse":  # first, so that nothing that is held back survives it
            self._close_listener()
            self._crash()
        if before == "black_hole":
            self._heal()
        if whole == "black_hole":
            self._darken()
        if before == "refuse" and not self.is_retiring:
            self._listening = self._loop.create_task(self._listen_again())

    def _darken(self) -> None:
        if self._server is not None:
            packets.drop(self._sock.fileno())
        for connection in self._connections:
            connection.darken()

    def _heal(self) -> None:
        if self.is_retiring:
            self._close_listener()
        if self._server is not None:
            packets.admit(self._sock.fileno())
        for connection in list(self._connections):
            connection.heal()

    def _finish(self, _: None) -> None:
        self._is_over = True
        self._crash()

    def _crash(self) -> None:
        self.instance.crash()
        for connection in list(self._connections):
            connection.reset()

    async def _listen(self) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(self._address)
            self._server = await self._loop.create_server(lambda: Connection(self), sock=sock, backlog=BACKLOG)
        except OSError as error:
            sock.close()
            raise SiteError(_advice(self._address, error)) from None
        self._sock = sock

    async def _listen_again(self) -> None:
        try:
            await self._listen()
        except SiteError as error:
            self._on_trouble(str(error))
            return
        if self.is_retiring or self._whole == "refuse":
            self._close_listener()
        elif self._whole == "black_hole":
            self._darken()

    def _close_listener(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()


def _advice(address: tuple[str, int], error: OSError) -> str:
    at = f"{address[0]}:{address[1]}"
    if error.errno == errno.EADDRINUSE:
        return f"an origin cannot listen on {at}: something else does; end that"
    return f"an origin cannot listen on {at}: {error.strerror}"
