"""What the fake API server knows: objects by kind, one version for all of them, and what happened to them. Pure.

The version goes up by one with each change of whatever object, as etcd's revision does. What happened is kept until it
is compacted; with it any list can be shown as it was at a version.
"""

from __future__ import annotations

import bisect
import copy
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from tests.fakes.kubernetes.resources import Resource

START = 100
"""A real cluster has had a life before anybody looks."""


class Item:
    """An object at one version; `body` is its JSON without apiVersion and kind."""

    __slots__ = ("_body", "name", "namespace", "version")

    def __init__(self, namespace: str, name: str, version: int, body: bytes) -> None:
        self.namespace = namespace
        self.name = name
        self.version = version
        self._body = body

    @property
    def key(self) -> str:
        """Its place in the order of lists: that of the server's storage."""
        return key_of(self.namespace, self.name)

    @property
    def body(self) -> bytes:
        return self._body

    @property
    def document(self) -> dict[str, Any]:
        """Decoded anew each time, so the caller's own."""
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found

    def at(self, version: int) -> Item:
        """The same object as a later version shows it, when nothing but the version is different (a deletion)."""
        document = self.document
        document["metadata"]["resourceVersion"] = str(version)
        return Item(self.namespace, self.name, version, msgspec.json.encode(document))


class Event(NamedTuple):
    """A change: `former` is what the object was before, None if it was not there; `item` of a deletion is its last."""

    version: int
    type: str
    item: Item
    former: Item | None


class GoneError(Exception):
    """The version asked for has been compacted. The first argument is the oldest that is known."""


class Watcher:
    """A queue of the events of one kind from a moment on; `wake` is called when it gets its next one."""

    __slots__ = ("queue", "wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self.queue: deque[Event] = deque()
        self.wake = wake


class Shelf:
    """All objects of one kind, sorted by key, with their past back to the compacted version."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.keys: list[str] = []
        self.log: list[Event] = []
        self.watchers: list[Watcher] = []

    def apply(self, event: Event) -> None:
        key = event.item.key
        if event.type == "DELETED":
            del self.items[key]
            del self.keys[bisect.bisect_left(self.keys, key)]
        else:
            if event.former is None:
                bisect.insort(self.keys, key)
            self.items[key] = event.item
        self.log.append(event)
        for watcher in self.watchers:
            watcher.queue.append(event)
            watcher.wake()

    def fill(self, items: list[Item]) -> None:
        """Many objects at once, without events: they were always there."""
        self.items.update((item.key, item) for item in items)
        self.keys = sorted(self.items)

    def after(self, version: int) -> list[Event]:
        """The events above a version, oldest first."""
        return self.log[bisect.bisect_right(self.log, version, key=lambda event: event.version) :]

    def at(self, version: int) -> tuple[list[str], dict[str, Item | None]]:
        """The keys as they were at a version, and the items that were different then (None: not there)."""
        changed: dict[str, Item | None] = {}
        for event in reversed(self.after(version)):
            changed[event.item.key] = event.former
        if not changed:
            return self.keys, changed
        there = {*self.keys, *changed} - {key for key, item in changed.items() if item is None}
        return sorted(there), changed


class Page(NamedTuple):
    """A part of a list: the version it shows, and the last key of it if there is more (how many)."""

    version: int
    items: list[Item]
    last: str
    remaining: int


class Backup(NamedTuple):
    """A copy of everything at one version."""

    version: int
    shelves: dict[str, dict[str, Item]]


class Cluster:
    """The state. `floor` is the compacted version: nothing before it can be told. `seen` is where the memory of
    the server begins, which watches are served from: one that was started anew knows less than its storage.
    """

    def __init__(self) -> None:
        self.version = START
        self.floor = 0
        self.seen = 0
        self._shelves: dict[str, Shelf] = {}

    def shelf(self, resource: Resource) -> Shelf:
        return self._shelves.setdefault(f"{resource.plural}.{resource.group}", Shelf())

    # Writing

    def put(self, resource: Resource, document: dict[str, Any], now: datetime | None = None) -> Item:
        """Create or replace an object. What a server adds (uid, times, generation) is added unless it is given.

        Equal content changes nothing, as a real server has it.
        """
        shelf = self.shelf(resource)
        given = copy.deepcopy({name: value for name, value in document.items() if name not in {"apiVersion", "kind"}})
        metadata = given["metadata"] = dict(given["metadata"])
        former = shelf.items.get(key_of(metadata.get("namespace", ""), metadata["name"]))
        before = former.document if former else None
        _complete(metadata, given, before, now or datetime.now(UTC))
        if former and before is not None:
            metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
            if before == given:
                return former
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        body = msgspec.json.encode(given)
        item = Item(metadata.get("namespace", ""), metadata["name"], self.version, body)
        self.replace(resource, item)
        return item

    def replace(self, resource: Resource, item: Item) -> None:
        """Put an object that is made already; its version is the cluster's newest."""
        shelf = self.shelf(resource)
        former = shelf.items.get(item.key)
        self.version = item.version
        shelf.apply(Event(item.version, "MODIFIED" if former else "ADDED", item, former))

    def delete(self, resource: Resource, namespace: str, name: str) -> Item:
        """KeyError if it is not there."""
        shelf = self.shelf(resource)
        former = shelf.items[key_of(namespace, name)]
        self.version += 1
        shelf.apply(Event(self.version, "DELETED", former.at(self.version), former))
        return former

    # Reading

    def get(self, resource: Resource, namespace: str, name: str) -> Item | None:
        return self.shelf(resource).items.get(key_of(namespace, name))

    def page(
        self,
        resource: Resource,
        *,
        matches: Callable[[Item], bool] | None = None,
        version: int = 0,
        after: str = "",
        limit: int = 0,
        prefix: str = "",
    ) -> Page:
        """A list, or a page of it. `version` 0 is now, `after` the last key of the page before; GoneError: too old."""
        if 0 < version < self.floor:
            raise GoneError(self.floor)
        shelf = self.shelf(resource)
        keys, changed = shelf.at(version) if version else (shelf.keys, {})
        taken: list[Item] = []
        last = ""
        start = bisect.bisect_right(keys, after) if after else bisect.bisect_left(keys, prefix)
        end = bisect.bisect_left(keys, prefix + "\U0010ffff") if prefix else len(keys)
        for place in range(start, end):
            key = keys[place]
            item = changed.get(key) or shelf.items[key]
            if matches is not None and not matches(item):
                continue
            taken.append(item)
            if len(taken) == limit and place + 1 < end:
                last = key
                break
        return Page(version or self.version, taken, last, end - place - 1 if last else 0)

    def watch(self, resource: Resource, version: int, wake: Callable[[], None]) -> Watcher:
        """The events above a version, those to come included; 0 is now. GoneError: too old."""
        oldest = max(self.floor, self.seen)
        if 0 < version < oldest:
            raise GoneError(oldest)
        shelf = self.shelf(resource)
        watcher = Watcher(wake)
        if version:
            watcher.queue.extend(shelf.after(version))
        shelf.watchers.append(watcher)
        return watcher

    def unwatch(self, resource: Resource, watcher: Watcher) -> None:
        self.shelf(resource).watchers.remove(watcher)

    # Its past

    def compact(self) -> int:
        """Forget what happened until now; returns the version that is the oldest known from now on."""
        self.floor = self.version
        for shelf in self._shelves.values():
            shelf.log.clear()
        return self.floor

    def reopen(self) -> None:
        """What a server does that is started anew."""
        self.seen = self.version

    def backup(self) -> Backup:
        return Backup(self.version, {name: dict(shelf.items) for name, shelf in self._shelves.items()})

    def restore(self, backup: Backup) -> None:
        """Become what a backup shows, its version included, without events: as etcd restored under a new server."""
        self.version = backup.version
        self.floor = self.seen = backup.version
        for name, shelf in self._shelves.items():
            shelf.items.clear()
            shelf.log.clear()
            shelf.fill(list(backup.shelves.get(name, {}).values()))


def key_of(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def initial(page: Page) -> Iterator[Event]:
    """What a watch from nothing begins with."""
    return (Event(item.version, "ADDED", item, None) for item in page.items)


def _complete(metadata: dict[str, Any], given: dict[str, Any], before: dict[str, Any] | None, now: datetime) -> None:
    known = before["metadata"] if before else {}
    metadata.pop("resourceVersion", None)
    metadata.setdefault("uid", known.get("uid") or str(uuid.uuid4()))
    metadata.setdefault("creationTimestamp", known.get("creationTimestamp") or now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    if "spec" in given or "endpoints" in given:
        rest = {"metadata", "status"}
        is_same = before is not None and all(
            given.get(name) == before.get(name) for name in {*given, *before} if name not in rest
        )
        metadata["generation"] = known.get("generation", 0) + (not is_same)
