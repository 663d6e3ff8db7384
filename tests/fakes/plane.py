"""The push side of a control plane in the test's own loop, with resources that a test says instead of a compiler."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterable

from prometheus_client import CollectorRegistry

from control.push.bounds import Bounds
from control.push.hub import Hub
from control.push.server import PushServer
from meshproxy.wire.snapshot import Entry


class Plane:
    """Pushes `entries` to who asks for them; `use` and `drop` change them."""

    def __init__(self, entries: Iterable[Entry], bounds: Bounds | None = None) -> None:
        self.entries = {entry.name: entry for entry in entries}
        self.registry = CollectorRegistry()
        self.hub = Hub(
            lambda name, _: self.entries.get(name),
            lambda namespace: [name for name in self.entries if name.startswith(f"service/{namespace}/")],
            self.registry,
            bounds=bounds or Bounds(close_s=0.1),
        )
        self.server = PushServer(self.hub)
        self.address = ("127.0.0.1", 0)

    @property
    def url(self) -> str:
        return "ws://{}:{}".format(*self.address)

    def use(self, entries: Iterable[Entry]) -> None:
        names = []
        for entry in entries:
            self.entries[entry.name] = entry
            names.append(entry.name)
        self.hub.publish(names, time.monotonic())

    def drop(self, *names: str) -> None:
        for name in names:
            del self.entries[name]
        self.hub.publish(names, time.monotonic())


@contextlib.asynccontextmanager
async def pushing(entries: Iterable[Entry] = (), port: int = 0, bounds: Bounds | None = None) -> AsyncIterator[Plane]:
    plane = Plane(entries, bounds)
    plane.address = await plane.server.start(("127.0.0.1", port))
    try:
        yield plane
    finally:
        await plane.server.stop()
