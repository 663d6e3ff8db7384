"""The latest events, for watches that begin at a version."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from control.model.kinds import Kind
from control.store.records import Event, Gone

MAX_EVENTS = 10_000
MAX_BYTES = 64 * 1024 * 1024
"""Of bodies. Most are those of the objects themselves, but not all."""


class History:
    """Bounded in events and in bytes; the oldest leave first. `version` is that of the last event."""

    __slots__ = ("_events", "_size", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self._events: deque[Event] = deque()
        self._size = 0

    @property
    def oldest(self) -> int:
        """The first version whose events after it are all here."""
        return self.version - len(self._events)

    def add(self, events: Iterable[Event]) -> None:
        """Take events whose versions go on from `version` without gaps."""
        for event in events:
            assert event.version == self.version + 1
            self.version = event.version
            self._events.append(event)
            self._size += len(event.body)
            while len(self._events) > MAX_EVENTS or self._size > MAX_BYTES:
                self._size -= len(self._events.popleft().body)

    def since(self, version: int, kind: Kind, namespace: str = "") -> list[Event]:
        """Return the events after a version, of one kind and, if it is named, one namespace. Raise Gone."""
        if version < self.oldest:
            raise Gone(version, self.oldest)
        later = islice(self._events, version - self.oldest, None)
        return [event for event in later if event.kind is kind and namespace in {"", event.key.namespace}]
