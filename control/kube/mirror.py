"""What the API server said last, by kind: what the REST API reads, and what a list is compared with."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, KeysView
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from control.index.change import Change
from control.kube.resources import WATCHED
from control.model.decode import Known
from control.model.kinds import Kind
from control.model.objects import Key
from control.store.listeners import Listeners
from control.store.records import Gone
from control.store.shelf import Shelf

log = logging.getLogger(__name__)

MAX_EVENTS = 1000
"""Of each kind, for watches that begin at a version."""


class Seen(NamedTuple):
    """One object. `version` is its resourceVersion, 0 if that is no number."""

    kind: Kind
    key: Key
    version: int
    item: Known

    @property
    def body(self) -> bytes:
        """Return the object as JSON, with the fields that are kept."""
        fields: dict[str, Any] = msgspec.to_builtins(self.item)
        metadata = {**fields.pop("metadata"), "resourceVersion": str(self.version)}
        return msgspec.json.encode(
            {"apiVersion": self.kind.api_version, "kind": self.kind.name, "metadata": metadata, **fields}
        )


class Event(NamedTuple):
    """One change. `version` is above that of every event before it, and not below the object's own."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    version: int
    seen: Seen
    before: Seen | None = None

    @property
    def kind(self) -> Kind:
        return self.seen.kind

    @property
    def key(self) -> Key:
        return self.seen.key

    @property
    def body(self) -> bytes:
        return self.seen.body

    @property
    def former(self) -> bytes:
        """Return the state before a modification."""
        return self.before.body if self.before is not None else b""


Listener: TypeAlias = Callable[[list[Event]], None]


class _Past:
    """The latest events of one kind."""

    __slots__ = ("events", "oldest")

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self.oldest = 0
        """The first version whose events after it are all here."""

    def add(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) > MAX_EVENTS:
            self.oldest = self.events.popleft().version


class Mirror:
    """Everything is asked and told on one thread.

    Each kind comes by a stream of its own, so that the resourceVersion 950 of one may be heard of after the 1 000 of
    another. `version` therefore counts the events themselves, never behind a resourceVersion that was seen: whoever
    goes on from an object's own version, or from that of a list, misses nothing.
    """

    def __init__(self) -> None:
        self.version = 0
        self._shelves: dict[Kind, Shelf[Seen]] = {watched.kind: Shelf() for watched in WATCHED}
        self._past = {watched.kind: _Past() for watched in WATCHED}
        self._listeners: Listeners[list[Event]] = Listeners(_on_failed_listener)
        self._untold: list[Event] = []

    def __len__(self) -> int:
        return sum(map(len, self._shelves.values()))

    def count(self, kind: Kind) -> int:
        return len(self._shelves[kind])

    def keys(self, kind: Kind) -> KeysView[Key]:
        """Return what there is of a kind, in no order."""
        return self._shelves[kind].keys()

    def get(self, kind: Kind, key: Key) -> Seen | None:
        return self._shelves[kind].get(key)

    def list(self, kind: Kind, namespace: str = "") -> list[Seen]:
        """Return all objects of a kind, or those of one namespace, sorted by namespace and name."""
        return self._shelves[kind].list(namespace)

    def events_since(self, version: int, kind: Kind, namespace: str = "") -> Iterable[Event]:
        """Return what happened after a version; nothing if that is yet to come. Raise Gone if it is too long ago."""
        past = self._past[kind]
        if version < past.oldest:
            raise Gone(version, past.oldest)
        return [event for event in past.events if event.version > version and namespace in {"", event.key.namespace}]

    def listen(self, callback: Listener) -> Callable[[], None]:
        """Have events given to `callback`, in order; returns what ends that."""
        return self._listeners.add(callback)

    def put(self, kind: Kind, key: Key, version: int, item: Known) -> Change | None:
        """Take an object as it is now. None if it says what was known: then only its version is new."""
        shelf = self._shelves[kind]
        before = shelf.get(key)
        if before is not None and before.item == item:
            # The old one stays, which the index and the compiled resources hold too.
            shelf.put(Seen(kind, before.key, version, before.item))
            self.advance(version)
            return None
        seen = Seen(kind, key if before is None else before.key, version, item)
        shelf.put(seen)
        self._record("MODIFIED" if before is not None else "ADDED", version, seen, before)
        return Change(type(item), seen.key, item)

    def remove(self, kind: Kind, key: Key, version: int = 0) -> Change | None:
        """Give up an object. None if there was none. `version` is that of its deletion, if it is known."""
        shelf = self._shelves[kind]
        before = shelf.get(key)
        if before is None:
            return None
        shelf.remove(key)
        self._record("DELETED", version, before._replace(version=version or before.version), None)
        return Change(type(before.item), before.key, None)

    def advance(self, version: int) -> None:
        """Note that all up to a version was said."""
        self.version = max(self.version, version)

    def _record(
        self, word: Literal["ADDED", "MODIFIED", "DELETED"], version: int, seen: Seen, before: Seen | None
    ) -> None:
        self.version = max(self.version + 1, version)
        event = Event(word, self.version, seen, before)
        self._past[seen.kind].add(event)
        if self._listeners:
            self._untold.append(event)

    def tell(self) -> None:
        """Give the listeners what happened since the last time."""
        if not self._untold:
            return
        events, self._untold = self._untold, []
        self._listeners.tell(events)


def _on_failed_listener(error: Exception) -> None:
    log.error("a listener of the cluster's objects failed; the others go on", exc_info=error)
