"""A sidecar's discovery with a traffic side that only notes what it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from meshproxy.config import Settings
from meshproxy.discovery.client import Discovery
from meshproxy.metrics.exposition import expose
from meshproxy.metrics.slots import Registry
from meshproxy.wire.change import Change
from meshproxy.wire.snapshot import Entry


class Sidecar:
    """A Discovery; `states` is what its traffic side has in effect, None for what is known not to exist."""

    def __init__(self, *urls: str, **settings: Any) -> None:
        self.registry = Registry()
        self.states: dict[str, Entry | None] = {}
        self.changes: list[Change] = []
        self.asked: list[str] = []
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()
        values: dict[str, Any] = {
            "snapshot": None,
            "namespace": "shop",
            "service_account": "web",
            "workload": "web-1",
            "admin": ("127.0.0.1", 0),
            "outbound": ("127.0.0.1", 0),
            "control": urls,
        }
        self.discovery = Discovery(Settings(**{**values, **settings}), self.apply, self.answer, self.registry)

    async def apply(self, change: Change) -> None:
        await self.gate.wait()
        if self.fails:
            raise RuntimeError("as the test wants it")
        self.changes.append(change)
        self.states.update({entry.name: entry for entry in change.updated})
        for name in change.removed:
            self.states[name] = None
        for name in change.forgotten:
            self.states.pop(name, None)

    async def answer(self, what: str) -> str:
        self.asked.append(what)
        await self.gate.wait()
        if what == "endpoints":
            raise RuntimeError("as the test wants it")
        return f"all about {what}"

    def metric(self, line: str) -> float | None:
        text = b"".join(expose(self.registry)).decode()
        return next(
            (float(one.rpartition(" ")[2]) for one in text.splitlines() if one.rpartition(" ")[0] == line), None
        )


@contextlib.asynccontextmanager
async def started(*urls: str, **settings: Any) -> AsyncIterator[Sidecar]:
    sidecar = Sidecar(*urls, **settings)
    await sidecar.discovery.start()
    try:
        yield sidecar
    finally:
        sidecar.gate.set()
        await sidecar.discovery.close()
