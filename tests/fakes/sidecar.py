"""A sidecar's stack in the test's own process and loop: real sockets, and everything open to look at."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from meshproxy.config import Settings
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.kit.aio.timer import Driver
from meshproxy.metrics.events import Events
from meshproxy.metrics.slots import ExchangeSlot, Registry
from meshproxy.proxy.backend import Backend
from meshproxy.proxy.connect import Connector
from meshproxy.proxy.downstream import Downstream
from meshproxy.proxy.exchange import Exchange
from meshproxy.proxy.listener import Listener
from meshproxy.proxy.services import Draft
from meshproxy.proxy.stack import Inbound, Outbound, Stack
from meshproxy.tls.reload import IdentityStore
from meshproxy.wire.change import Change
from meshproxy.wire.snapshot import Entry
from tests.fakes.loop import until


class Sidecar:
    """One stack behind a listener. `finished` are all exchanges that have ended; `defects` what the stack caught."""

    def __init__(self, app: tuple[str, int] | None, identities: IdentityStore | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.registry = Registry()
        self.events = Events(self.registry)
        self.driver = Driver(self.loop)
        self.tasks = Tasks(self.loop)
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._sock.setblocking(False)
        self.address: tuple[str, int] = self._sock.getsockname()
        settings = Settings(
            snapshot=Path("none"),
            namespace="default",
            service_account="client",
            workload="client-1",
            admin=("127.0.0.1", 0),
            outbound=None if app else self.address,
            inbound=self.address if app else None,
            app=app,
        )
        connector = Connector(self.loop, identities, self.events.plain_to_meshed)
        kind: type[Stack] = Inbound if app else Outbound
        self.stack: Any = kind(settings, self.driver.wheel, self.tasks, self.registry, connector)
        self.stack.own_addresses = frozenset({self.address})
        self.finished: list[Exchange] = []
        self.defects: list[Exception] = []
        self.stack.log_exchange = self.finished.append
        self.stack.on_defect = self.defects.append
        self.listener = Listener(
            self.loop,
            self._sock,
            self.stack.connections,
            partial(Downstream, self.stack),
            lambda _word, _detail: None,
            tls_factory=partial(Downstream, self.stack) if app else None,
            identities=identities if app else None,
        )
        self.listener.start()

    def use(self, entries: Iterable[Entry]) -> None:
        """Take these entries instead of what is in use, at once."""
        updated = list(entries)
        names = {entry.name for entry in updated}
        self.take(Change(updated, [name for name in self.stack.services.entries if name not in names], []))

    def take(self, change: Change) -> None:
        """Take a change, at once."""
        draft = Draft(self.stack.services, change)
        for _ in draft.build():
            pass
        draft.commit()
        for _ in (*draft.settle(), *self.stack.resume(change)):
            pass

    def backend(self, name: str = "echo") -> Backend:
        found: Backend = self.stack.services.backends[f"default/{name}:80"]
        return found

    @property
    def downstream(self) -> Downstream:
        """The only open connection of a client."""
        (connection,) = self.stack.connections
        return connection

    @property
    def slot(self) -> ExchangeSlot:
        """Of the latest exchange."""
        return self.finished[-1].lane.slot

    @property
    def upstreams_open(self) -> int:
        return sum(slot.open for slot in self.stack.upstream_slots)

    async def stop(self) -> None:
        self.listener.close()
        for connection in list(self.stack.connections):
            connection.transport.abort()
        await until(lambda: not self.stack.connections and not self.listener.halfway)
        for backend in self._backends():
            backend.close()
        await self.tasks.close()
        await until(lambda: self.upstreams_open == 0)
        self.driver.close()

    def check(self) -> None:
        """What must be true of every sidecar that has come to its end."""
        assert self.defects == []
        assert self.stack.active == 0
        assert len(self.stack.parking) == 0
        for slot in self.registry.exchanges():
            assert slot.active == 0, slot
        for backend in self._backends():
            assert (backend.active, backend.pending) == (0, 0), backend
            for state in backend.balancer.states:
                assert state.inflight == 0, state

    def _backends(self) -> list[Backend]:
        if isinstance(self.stack, Inbound):
            return [self.stack._application]
        return list(self.stack.services.backends.values())


@contextlib.asynccontextmanager
async def running(
    entries: Iterable[Entry] = (), *, app: tuple[str, int] | None = None, identities: IdentityStore | None = None
) -> AsyncIterator[Sidecar]:
    """An outbound sidecar with these entries, or an inbound one before `app`. Afterwards nothing of it may be left."""
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    sidecar = Sidecar(app, identities)
    if app is None:
        sidecar.use(entries)
    try:
        yield sidecar
    finally:
        await sidecar.stop()
    sidecar.check()
    assert problems == []
