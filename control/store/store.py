"""The objects of a control plane without a cluster: all in memory, every change on the disk before it counts."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from control.model.kinds import KINDS, Kind
from control.model.objects import Key
from control.store.database import look, told
from control.store.history import History
from control.store.listeners import Listeners
from control.store.lock import Lock
from control.store.records import Change, Event, Gone, Stored, StoreError
from control.store.shelf import Shelf
from control.store.writer import Batch, Mutation, Writer
from meshproxy.kit.throttle import Throttle

__all__ = ["Change", "Event", "Gone", "Store", "StoreError", "Stored"]

log = logging.getLogger(__name__)

MAX_WAITING = 4096
"""Mutations that wait for the writer."""
TELL_S = 60.0
"""Writes that fail are logged at most so often: the disk may be full for a night."""

Ticket: TypeAlias = "asyncio.Future[Stored]"
Events: TypeAlias = list[Event]
Objects: TypeAlias = list[Stored]
Listener: TypeAlias = Callable[[Events], None]


class Store:
    """Everything is asked and told on one event loop; the writer alone has a thread.

    What is read is committed, and a write can be read from when `mutate` returns. Versions are one counter over all
    kinds; each change of an object takes the next.
    """

    __slots__ = (
        "_ended", "_history", "_is_closing", "_listeners", "_lock", "_loop", "_opened", "_shelves", "_throttle",
        "_waiting", "_writer",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, directory: Path, lock: Lock) -> None:
        self._loop = loop
        self._lock = lock
        self._shelves: dict[Kind, Shelf[Stored]] = {kind: Shelf() for kind in KINDS}
        self._history = History(0)
        self._listeners: Listeners[Events] = Listeners(self._on_failed_listener)
        self._waiting: set[Ticket] = set()
        self._is_closing = False
        self._throttle = Throttle(TELL_S)
        self._opened: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[StoreError | None] = loop.create_future()
        self._writer: Writer[Ticket] = Writer(
            directory,
            lambda version, objects: self._tell(self._on_open, version, objects),
            lambda batch: self._tell(self._on_batch, batch),
            lambda failure: self._tell(self._on_end, failure),
        )

    @classmethod
    async def open(cls, directory: Path) -> Store:
        """Open the store in a directory, which is made if it is not there.

        Raise StoreError if another process uses it, if it is no store or a newer program's, or if it may not be used.
        """
        store = cls(asyncio.get_running_loop(), directory, _locked(directory))
        try:
            await store._opened
        except BaseException:
            await store.close()
            raise
        return store

    @property
    def version(self) -> int:
        """The version of the latest commit."""
        return self._history.version

    def __len__(self) -> int:
        return sum(map(len, self._shelves.values()))

    def count(self, kind: Kind) -> int:
        return len(self._shelves[kind])

    def get(self, kind: Kind, key: Key) -> Stored | None:
        return self._shelves[kind].get(key)

    def list(self, kind: Kind, namespace: str = "") -> Objects:
        """Return all objects of a kind, or those of one namespace, sorted by namespace and name."""
        return self._shelves[kind].list(namespace)

    def events_since(self, version: int, kind: Kind, namespace: str = "") -> Events:
        """Return what happened after a version; nothing if that is yet to come. Raise Gone if it is too long ago."""
        return self._history.since(version, kind, namespace)

    def listen(self, callback: Listener) -> Callable[[], None]:
        """Have the events of each commit given to `callback`, in order; returns what ends that."""
        return self._listeners.add(callback)

    async def mutate(self, kind: Kind, key: Key, change: Change, *, dry_run: bool = False) -> Stored:
        """Change one object; return it as it then is, on the disk. A deleted one: its last state, with a new version.

        A change to what says the same writes nothing and keeps the version; so does a dry run, which meets what the
        change itself would meet. What `change` raises is raised. Raise StoreError if it could not be written: then
        nothing was changed. Whoever is cancelled while waiting does not know what became of it.
        """
        if self._is_closing:
            raise StoreError("the store is closed; nothing was changed")
        if len(self._waiting) >= MAX_WAITING:
            raise StoreError(f"{MAX_WAITING} writes are waiting already; nothing was changed")
        ticket: Ticket = self._loop.create_future()
        # It waits until the writer answers, even if nobody waits for that any more.
        self._waiting.add(ticket)
        self._writer.put(Mutation(kind, key, change, dry_run, ticket))
        return await ticket

    async def close(self) -> None:
        """Finish what waits to be written, and let go of the directory."""
        if not self._is_closing:
            self._is_closing = True
            self._writer.end()
        await asyncio.shield(self._ended)

    async def ended(self) -> StoreError | None:
        """Wait until nothing can be written any more; returns why, None after `close`."""
        return await asyncio.shield(self._ended)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        # In the writer's thread. A loop that was closed without the store has nobody to be told.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _on_open(self, version: int, objects: Objects) -> None:
        self._history = History(version)
        for stored in objects:
            self._shelves[stored.kind].put(stored)
        if not self._opened.done():
            self._opened.set_result(None)

    def _on_batch(self, batch: Batch[Ticket]) -> None:
        events = [self._take(event) for event in batch.events]
        self._history.add(events)
        if events:
            self._listeners.tell(events)
        for ticket, outcome in batch.answers:
            self._waiting.discard(ticket)
            if isinstance(outcome, StoreError):
                self._warn(outcome)
            if ticket.done():
                continue
            if isinstance(outcome, Exception):
                ticket.set_exception(outcome)
            else:
                ticket.set_result(outcome)

    def _take(self, event: Event) -> Event:
        """Bring the memory up to an event; return it with the state before, which is kept once."""
        shelf = self._shelves[event.kind]
        if event.type == "DELETED":
            shelf.remove(event.key)
            return event
        former = shelf.get(event.key)
        shelf.put(Stored(event.kind, event.key, event.version, event.body))
        return event if former is None else event._replace(former=former.body)

    def _on_failed_listener(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "a listener of the store failed", "exception": error})

    def _warn(self, error: StoreError) -> None:
        if (suppressed := self._throttle.admit(self._loop.time())) is not None:
            more = f" ({suppressed} more that failed were not logged)" if suppressed else ""
            log.error("a write has failed: %s%s", error, more)

    def _on_end(self, failure: StoreError | None) -> None:
        self._is_closing = True
        self._writer.join()
        self._lock.release()
        unanswered = failure or StoreError("the store is closed")
        if not self._opened.done():
            self._opened.set_exception(unanswered)
        for ticket in self._waiting:
            if not ticket.done():
                ticket.set_exception(unanswered)
        self._ended.set_result(failure)


def check_directory(directory: Path) -> None:
    """Raise StoreError if no store could be opened in a directory, but that it may be in use. Nothing is changed."""
    place = directory
    try:
        while not place.exists():
            place = place.parent
    except OSError as error:
        raise StoreError(f"{place}: {told(error)}") from None
    if not place.is_dir():
        raise StoreError(f"{place}: Not a directory")
    if not os.access(place, os.W_OK | os.X_OK):
        raise StoreError(f"{place}: Permission denied")
    look(directory)


def _locked(directory: Path) -> Lock:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Lock(directory)
    except OSError as error:
        raise StoreError(f"{directory}: {told(error)}") from None
