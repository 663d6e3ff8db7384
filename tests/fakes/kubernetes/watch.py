"""A watch that is open: events as they come, bookmarks, and what a test puts between them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator

from tests.fakes.kubernetes.encode import View
from tests.fakes.kubernetes.pipe import Pipe, ResetError
from tests.fakes.kubernetes.state import Cluster, Event, Item, Watcher, initial

Matches = Callable[[Item], bool]


class Watch:
    """One client's watch of one kind."""

    def __init__(self, pipe: Pipe, view: View, cluster: Cluster, bookmark_s: float) -> None:
        """`bookmark_s` between two bookmarks; 0: none are sent."""
        self.view = view
        self.is_silent = False
        self.wake = asyncio.Event()
        self._pipe = pipe
        self._cluster = cluster
        self._bookmark_s = bookmark_s
        self._injected: list[bytes] = []
        self._ending = ""

    def inject(self, data: bytes) -> None:
        """Write bytes as they are, after what has been sent so far."""
        self._injected.append(data)
        self.wake.set()

    def end(self, how: str) -> None:
        """Close it after what was injected: by a "reset", or "in order" when all that happened is told."""
        self._ending = how
        self.wake.set()

    async def begin(self, prefix: str, matches: Matches | None, *, ends_with_bookmark: bool) -> None:
        """Tell what is there."""
        page = self._cluster.page(self.view.resource, prefix=prefix, matches=matches)
        await self._pipe.write_all(self.view.line(event) for event in initial(page))
        if ends_with_bookmark:
            await self._pipe.write(self.view.bookmark(page.version, ends_initial=True))

    async def follow(self, watcher: Watcher, prefix: str, matches: Matches | None, version: int) -> None:
        """Tell what happens above `version`, until the watch is ended."""
        due = time.monotonic() + self._bookmark_s
        while True:
            while self._injected:
                await self._pipe.write(self._injected.pop(0))
            if self._ending == "reset":
                raise ResetError
            if watcher.queue and not self.is_silent:
                events = [event for event in watcher.queue if event.version > version]
                watcher.queue.clear()
                if prefix:
                    events = [event for event in events if event.item.key.startswith(prefix)]
                await self._pipe.write_all(map(self.view.line, _select(events, matches)))
                continue
            watcher.queue.clear()
            if self._ending:
                return
            if self._bookmark_s and not self.is_silent and time.monotonic() >= due:
                due = time.monotonic() + self._bookmark_s
                if self._cluster.version >= version:
                    await self._pipe.write(self.view.bookmark(self._cluster.version, ends_initial=False))
                continue
            self.wake.clear()
            pause_s = due - time.monotonic() if self._bookmark_s and not self.is_silent else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self.wake.wait()


def _select(events: Iterable[Event], matches: Matches | None) -> Iterator[Event]:
    """What a selection shows of events: an object that comes into it is added, one that leaves it is deleted."""
    for event in events:
        if matches is None:
            yield event
            continue
        is_in = event.type != "DELETED" and matches(event.item)
        was_in = event.former is not None and matches(event.former)
        if is_in:
            yield event._replace(type="MODIFIED" if was_in else "ADDED")
        elif was_in and event.former is not None:
            yield event._replace(type="DELETED", item=event.former.at(event.version))
