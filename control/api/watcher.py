"""Who watches: each event of the store to everybody whose selection it meets.

The store is listened to once. A watcher keeps what it has not sent yet as references to events, up to a bound; one that
does not keep up is ended, and its client lists again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from control.api.listing import labels_of
from control.api.protocols import Event
from control.api.query import Selection
from control.api.selector import matches
from control.model.kinds import Kind

log = logging.getLogger(__name__)

MAX_WATCHERS = 256
MAX_QUEUED = 10_000
MAX_QUEUED_BYTES = 64 * 1024 * 1024
"""Of bodies, most of which the history holds as well."""


class Line(NamedTuple):
    """What a watcher is told: ADDED, MODIFIED or DELETED, and the object."""

    word: str
    body: bytes


class Watcher:
    """One watch of one kind, from after `version` on. Once what it takes is sent, all up to `version` is known."""

    __slots__ = ("_kind", "_lines", "_selection", "_size", "_wake", "has_overflowed", "is_closed", "version")

    def __init__(self, kind: Kind, selection: Selection, version: int) -> None:
        self._lines: deque[Line] = deque()
        self._size = 0
        self.has_overflowed = False
        self.is_closed = False
        self._kind = kind
        self._selection = selection
        self.version = version
        self._wake = asyncio.Event()

    @property
    def has_lines(self) -> bool:
        return bool(self._lines)

    def on_events(self, events: Iterable[Event]) -> None:
        """Take note of what is meant; events that this watcher knows already are passed over."""
        if self.has_overflowed:
            return
        known = self.version
        for event in events:
            if event.version <= known:
                continue
            # Several may have one version: what a cluster's list showed to be different.
            self.version = event.version
            line = select(event, self._selection) if event.kind is self._kind else None
            if line is not None:
                self._lines.append(line)
                self._size += len(line.body)
        if len(self._lines) > MAX_QUEUED or self._size > MAX_QUEUED_BYTES:
            self.overflow()
        elif self._lines:
            self._wake.set()

    def take(self) -> list[Line]:
        """Return what is to be told, once."""
        lines = list(self._lines)
        self._lines.clear()
        self._size = 0
        return lines

    def overflow(self) -> None:
        """Events were missed: nothing that comes now counts any more."""
        self.take()
        self.has_overflowed = True
        self._wake.set()

    def close(self) -> None:
        """Let the watch end."""
        self.is_closed = True
        self._wake.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when there is something to tell, when the watch ends, or after the timeout."""
        if self._lines or self.is_closed or self.has_overflowed:
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            pass


def select(event: Event, selection: Selection) -> Line | None:
    """Return what an event is to those who see only a selection: what enters it is new, what leaves it is gone."""
    if not selection.has_key(event.key):
        return None
    if not selection.labels:
        return Line(event.type, event.body)
    is_in = matches(selection.labels, labels_of(event.body))
    if event.type != "MODIFIED":
        return Line(event.type, event.body) if is_in else None
    was_in = matches(selection.labels, labels_of(event.former))
    if not is_in:
        return Line("DELETED", event.body) if was_in else None
    return Line("MODIFIED" if was_in else "ADDED", event.body)


class Watchers:
    """All watches."""

    def __init__(self) -> None:
        self.on_overflow: Callable[[], None] = lambda: None
        self._all: set[Watcher] = set()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def is_full(self) -> bool:
        return len(self._all) >= MAX_WATCHERS

    def add(self, watcher: Watcher) -> None:
        self._all.add(watcher)

    def discard(self, watcher: Watcher) -> None:
        self._all.discard(watcher)

    def on_events(self, events: Sequence[Event]) -> None:
        for watcher in self._all:
            try:
                watcher.on_events(events)
            except Exception:
                # The others go on, and this one's client lists again: nobody misses what happened without being told.
                log.exception("a watch cannot be told what happened, and ends")
                watcher.overflow()
            if watcher.has_overflowed and not watcher.is_closed:
                watcher.is_closed = True
                self.on_overflow()

    def close(self) -> None:
        """End all watches."""
        for watcher in self._all:
            watcher.close()
