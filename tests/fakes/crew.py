"""A crew in the test's own process and loop, its workers as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from meshproxy.config import Settings
from meshproxy.crew.member import Member
from meshproxy.crew.parent import Crew
from meshproxy.crew.state import Connections, Exchanges, decode
from meshproxy.metrics.slots import Registry
from meshproxy.proxy.place import reserve
from meshproxy.wire.change import Change
from meshproxy.wire.snapshot import Entry
from tests.fakes.client import Client, connect
from tests.fakes.loop import until


class Team:
    """A crew with an outbound listener at `address`."""

    def __init__(self, settings: Settings) -> None:
        self.crew = Crew(settings, Registry())
        assert settings.outbound is not None
        self._sock = reserve(settings.outbound)
        self.address: tuple[str, int] = self._sock.getsockname()

    @property
    def members(self) -> dict[int, Member]:
        return self.crew._members

    @property
    def open_workers(self) -> int:
        return sum(member.is_open for member in self.members.values())

    async def start(self, entries: Iterable[Entry]) -> None:
        await self.crew.apply(Change(list(entries), [], []))
        self.crew.open({"outbound": self._sock})
        await self.until_open()

    async def until_open(self) -> None:
        await until(lambda: self.open_workers == self.crew.settings.workers)

    async def connect(self, number: int) -> list[Client]:
        return [await connect(self.address) for _ in range(number)]

    async def connect_to_all(self, number: int) -> list[Client]:
        """Connections of which every worker has at least one, when there were none before."""
        while True:
            clients = await self.connect(number)
            await until(lambda: sum(self.connections(index) for index in self.members) == number)
            if all(self.connections(index) for index in self.members):
                return clients
            # The kernel spreads them as it likes: all to one of two workers once in 2**(number - 1) times.
            for client in clients:
                client.close()
            await until(lambda: not sum(self.connections(index) for index in self.members))

    def connections(self, index: int) -> int:
        """Open connections of clients that a worker has published."""
        records = decode(self.members[index].segment.read())
        return sum(
            one.opened - one.closed
            for one in records
            if isinstance(one, Connections) and 'side="downstream"' in one.labels
        )

    def ended(self) -> Counter[int]:
        """Exchanges that have ended, by worker, as far as they have published it; 0 stands for workers of the past."""
        counts: Counter[int] = Counter()
        for index, member in self.members.items():
            records = decode(member.segment.read())
            counts[index] = sum(sum(one.duration_counts) for one in records if isinstance(one, Exchanges))
        counts[0] = sum(sum(slot.duration_counts) for slot in self.crew._past.exchanges())
        return counts

    def counted(self) -> int:
        """Exchanges that have ended, as the metrics tell it."""
        return sum(sum(slot.duration_counts) for slot in self.crew.metrics().exchanges())

    def signal(self, index: int, number: signal.Signals) -> int:
        pid = self.members[index].pid
        os.kill(pid, number)
        return pid


@contextlib.asynccontextmanager
async def crew(entries: Iterable[Entry] = (), **settings: Any) -> AsyncIterator[Team]:
    """Two workers unless the settings say otherwise. Afterwards all are killed, whatever they were at."""
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    common: dict[str, Any] = {
        "snapshot": Path("none"),
        "namespace": "default",
        "service_account": "client",
        "workload": "client-1",
        "admin": ("127.0.0.1", 0),
        "outbound": ("127.0.0.1", 0),
        "workers": 2,
    }
    team = Team(Settings(**(common | settings)))
    try:
        await team.start(entries)
        yield team
    finally:
        await team.crew.close()
    assert problems == []
