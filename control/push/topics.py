"""Who follows what: one topic per name that anybody follows, with its present versions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from control.push.encode import Item
from meshproxy.wire import names
from meshproxy.wire.snapshot import Entry

if TYPE_CHECKING:
    from control.push.session import Session, Subscription

Find = Callable[[str, str], "Entry | None"]
"""(name, namespace) -> what the sidecars of a namespace take under a name."""
ServicesOf = Callable[[str], "Collection[str]"]
"""namespace -> the names `service/NAMESPACE/...` that exist."""

_RANKS = {"service": 0, "backend": 1, "endpoints": 2, "workload": 3, "routes": 4}
"""The order within pushes: what a route needs goes before it."""


class Topic:
    """One name. Its present version depends on the follower's namespace."""

    __slots__ = ("_absent", "_find", "_items", "followers", "name", "rank")

    def __init__(self, name: str, find: Find) -> None:
        self.name = name
        self.rank = _RANKS[names.kind_of(name)]
        self.followers: set[Subscription] = set()
        self._find = find
        self._items: dict[str, Item] = {}  # by consumer: the versions last seen
        self._absent = Item(name, None)

    def item(self, namespace: str) -> Item:
        """Return the present version for the sidecars of a namespace."""
        entry = self._find(self.name, namespace)
        if entry is None:
            return self._absent
        item = self._items.get(entry.consumer)
        if item is None or item.version != entry.version:
            former = item.entry if item is not None else None
            item = self._items[entry.consumer] = Item(self.name, entry, former)
        return item

    def tidy(self) -> None:
        """Let go of variants that are no more."""
        for consumer in list(self._items):
            entry = self._find(self.name, consumer)
            if entry is None or entry.consumer != consumer:
                del self._items[consumer]


class Topics:
    """All names that are followed, and the namespaces of which every Service is."""

    __slots__ = ("_find", "_services", "_services_of", "_topics", "_watchers")

    def __init__(self, find: Find, services_of: ServicesOf) -> None:
        self._find = find
        self._services_of = services_of
        self._services: dict[str, list[str]] = {}  # by namespace that is watched, until one of them changes
        self._topics: dict[str, Topic] = {}
        self._watchers: dict[str, set[Session]] = {}

    def __len__(self) -> int:
        return len(self._topics)

    def admit(self, name: str) -> Topic | None:
        """Return the topic of a name, which somebody is about to follow; None for what no resource can be called."""
        topic = self._topics.get(name)
        if topic is None:
            try:
                names.parse(name)
            except ValueError:
                return None
            topic = self._topics[name] = Topic(name, self._find)
        return topic

    def follow(self, subscription: Subscription) -> None:
        subscription.topic.followers.add(subscription)

    def leave(self, subscription: Subscription) -> None:
        topic = subscription.topic
        topic.followers.discard(subscription)
        if not topic.followers:
            self._topics.pop(topic.name, None)

    def watch(self, namespace: str, session: Session) -> None:
        """Let a session hear of Services that come into existence."""
        self._watchers.setdefault(namespace, set()).add(session)

    def unwatch(self, namespace: str, session: Session) -> None:
        watchers = self._watchers.get(namespace)
        if watchers is not None:
            watchers.discard(session)
            if not watchers:
                del self._watchers[namespace]
                self._services.pop(namespace, None)

    def services_of(self, namespace: str) -> list[str]:
        """Return the names of a watched namespace's Services, sorted: those that can be sent, others will be told."""
        listed = self._services.get(namespace)
        if listed is None:
            known = self._services_of(namespace)
            listed = self._services[namespace] = sorted(name for name in known if self._find(name, namespace))
        return listed

    def publish(self, changed: Collection[str], since: float, now: float) -> Iterator[Session]:
        """Note at every follower that these names may have another version; returns whom it concerns, some twice.

        `since`: when what is behind the change happened.
        """
        for name in changed:
            if self._watchers:
                yield from self._announce(name, since, now)
            topic = self._topics.get(name)
            if topic is not None:
                topic.tidy()
                for subscription in topic.followers:
                    subscription.mark(now, since)
                    yield subscription.session

    def _announce(self, name: str, since: float, now: float) -> Iterator[Session]:
        kind, _, rest = name.partition("/")
        namespace = rest.partition("/")[0]
        if kind != "service" or namespace not in self._watchers:
            return
        self._services.pop(namespace, None)
        if self._find(name, namespace) is not None:
            for session in self._watchers[namespace]:
                session.announce(name, now, since)
                yield session
