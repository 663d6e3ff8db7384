"""Without a cluster: the objects live in a directory of this machine, and are written through our own API."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from control.api.writer import Writer
from control.feed import Feed
from control.index.change import Change
from control.index.index import Index
from control.model.check import Check
from control.model.decode import Known, ObjectError, recall, type_of
from control.model.kinds import KINDS, Kind
from control.model.objects import Key
from control.status import StatusWriter
from control.store.checks import checks
from control.store.metrics import StoreCollector
from control.store.records import Event
from control.store.store import Store
from meshproxy.kit.aio.tasks import Tasks

log = logging.getLogger(__name__)


class Embedded:
    """A store whose objects the feed takes; what became of routes is written back into it."""

    kinds = KINDS

    def __init__(self, store: Store, index: Index, registry: CollectorRegistry) -> None:
        self.refused = 0
        """Stored objects that could not be read; they count as absent."""
        self.objects = store
        self.writer = Writer(store)
        self._index = index
        self._registry = registry
        self.statuses = StatusWriter(store, index)
        self.on_routes = self.statuses.on_routes
        self._stop: Callable[[], None] | None = None
        self._is_compiled = False

    @classmethod
    async def open(cls, directory: Path, index: Index, registry: CollectorRegistry) -> Embedded:
        """Raise StoreError."""
        return cls(await Store.open(directory), index, registry)

    def unready(self) -> str:
        """Say that not everything is compiled yet; empty once it is."""
        return "" if self._is_compiled else "the objects are read, and being compiled"

    async def follow(self, feed: Feed, tasks: Tasks) -> None:
        """Load all objects into the feed, and keep it in step from then on."""
        store = self.objects
        self._registry.register(StoreCollector(store, lambda: feed.version, lambda: self.refused))
        feed.take(self._items(), store.version)
        self._stop = store.listen(lambda events: feed.on_changes(self._changes(events), events[-1].version))
        await feed.compile()
        self._is_compiled = True
        self.on_routes(set(self._index.routes))
        tasks.start(self.statuses.run())

    async def checks(self) -> list[Check]:
        """Say what the store holds, and what of it cannot be read."""
        return await checks(self.objects, self.refused)

    async def ended(self) -> str:
        """Wait until nothing can be written any more; returns why. Started anew, it says why, or it works again."""
        return f"the store has failed: {await self.objects.ended()}"

    async def close(self) -> None:
        if self._stop is not None:
            self._stop()
        await self.objects.close()

    def _items(self) -> Iterator[Known]:
        for kind in KINDS:
            for stored in self.objects.list(kind):
                item = self._decode(kind, stored.key, stored.body)
                if item is not None:
                    yield item

    def _changes(self, events: Sequence[Event]) -> Iterator[Change]:
        for event in events:
            item = self._decode(event.kind, event.key, event.body) if event.type != "DELETED" else None
            yield Change(type_of(event.kind.name), event.key, item)

    def _decode(self, kind: Kind, key: Key, body: bytes) -> Known | None:
        try:
            return recall(kind.name, body)
        except ObjectError as error:
            # It was good when it was written: the rules have become stricter since.
            self.refused += 1
            log.error("%s %s cannot be read and counts as absent: %s", kind.name, key, error)  # noqa: TRY400
            return None
