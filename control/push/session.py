"""One sidecar's side of the push stream, without the stream: what it follows, what it was sent, what is sent next.

Laws: of every name only the newest version waits (a slow sidecar costs one entry a name, never a queue of frames); what
a sidecar was sent and what it has acknowledged are kept apart, so that a refusal leads back to what it really holds;
a version that was refused is not sent again.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from operator import attrgetter

from control.push.bounds import Bounds
from control.push.encode import ABSENT, Frame, Frames, Part
from control.push.topics import Topic, Topics
from meshproxy.wire.names import MAX_CHARS
from meshproxy.wire.problem import Problem
from meshproxy.wire.snapshot import MAX_VERSION_CHARS
from meshproxy.wire.stream import MAX_FRAME_BYTES, Node, all_services, namespace_of

MAX_PROBLEMS = 20
MAX_PROBLEM_CHARS = 1_000
MAX_WAITING = 100

_NEVER = (None, inf)
_rank = attrgetter("topic.rank")


class SessionError(Exception):
    """The sidecar did what it may not; its stream ends. `is_excess`: a bound was passed."""

    def __init__(self, text: str, *, is_excess: bool = False) -> None:
        super().__init__(text)
        self.is_excess = is_excess


class Subscription:
    """One name that one sidecar follows.

    `sent` is the version last sent, `taken` the one last acknowledged; None: nobody knows what the sidecar holds.
    `flight` is the last push that had it, until that is answered. `is_asked`: by its name; `is_gathered`: as one of the
    Services of a namespace.
    """

    __slots__ = ("flight", "is_asked", "is_gathered", "sent", "session", "since", "taken", "topic")

    def __init__(self, session: Session, topic: Topic, known: str | None) -> None:
        self.session = session
        self.topic = topic
        self.sent = self.taken = known
        self.flight: Flight | None = None
        self.since = inf  # when the oldest change happened that is not sent yet
        self.is_asked = self.is_gathered = False

    def mark(self, now: float, since: float) -> None:
        """There may be something to send."""
        if since < self.since:  # noqa: PLR1730 - runs for every follower of every change
            self.since = since
        self.session.due.setdefault(self, now)


class Flight:
    """A push on its way. `since`: when the oldest change in it happened; inf when it only answers."""

    __slots__ = ("frame", "queued_at", "sent_at", "since", "subscriptions")

    def __init__(
        self, made: Frame, subscriptions: list[Subscription], queued_at: float, sent_at: float, since: float
    ) -> None:
        self.frame = made
        self.subscriptions = subscriptions
        self.queued_at = queued_at
        self.sent_at = sent_at
        self.since = since


class Session:
    """What is known of one connected sidecar. Holds no I/O; times are monotonic seconds."""

    __slots__ = (
        "_bounds", "_frames", "_is_subscribing", "_known", "_namespaces", "_owes", "_topics", "_unknown",
        "due", "flights", "in_flight_bytes", "node", "problems", "refused", "subscriptions", "waiting",
    )  # fmt: skip

    def __init__(self, node: Node, known: dict[str, str], topics: Topics, frames: Frames, bounds: Bounds) -> None:
        if len(known) > bounds.names:
            raise SessionError(f"{len(known)} known names; allowed: at most {bounds.names}", is_excess=True)
        self.node = node
        self.subscriptions: dict[str, Subscription] = {}
        self.due: dict[Subscription, float] = {}
        self.flights: dict[str, Flight] = {}
        self.in_flight_bytes = 0
        self.problems: list[Problem] = []
        self.refused: dict[Subscription, tuple[str, float]] = {}  # the version, and when it became due
        self.waiting: list[str] = []
        self._known = {name: version for name, version in known.items() if 0 < len(version) <= MAX_VERSION_CHARS}
        self._namespaces: dict[str, int] = {}  # gathered, with how many of their Services
        self._unknown: dict[str, None] = {}
        self._owes = False
        self._is_subscribing = False  # more names of a Subscribe are still to come
        self._topics = topics
        self._frames = frames
        self._bounds = bounds

    # What it follows

    def subscribe(self, names: Iterable[str], now: float, *, is_last: bool = True) -> None:
        """Follow names; they are answered once the last of them have come. Raise SessionError past the bound."""
        for name in names:
            namespace = namespace_of(name)
            if namespace is not None:
                self._gather(namespace, now)
                continue
            subscription = self.subscriptions.get(name)
            if subscription is None:
                subscription = self._follow(name, now)
            elif subscription.sent is None:
                self.due.setdefault(subscription, now)
            if subscription is not None:
                subscription.is_asked = True
            self._check_room()
        self._is_subscribing = not is_last
        self._owes |= is_last

    def unsubscribe(self, names: Iterable[str]) -> None:
        for name in names:
            namespace = namespace_of(name)
            if namespace is not None:
                self._scatter(namespace)
            elif (subscription := self.subscriptions.get(name)) is not None:
                subscription.is_asked = False
                if subscription.is_gathered:
                    # Not held any more, as little as others that are left: it comes when it changes or is asked for.
                    subscription.sent = subscription.taken = subscription.flight = None
                else:
                    self._forget(subscription)
            self._known.pop(name, None)
            self._unknown.pop(name, None)

    def announce(self, name: str, now: float, since: float) -> None:
        """A Service of a gathered namespace exists; perhaps it did before."""
        namespace = name.split("/")[1]
        subscription = self.subscriptions.get(name)
        if subscription is not None and subscription.is_gathered:
            return
        if self._namespaces.get(namespace, inf) < self._bounds.services:
            if subscription is None and len(self.subscriptions) < self._bounds.names:
                subscription = self._follow(name, now)
                if subscription is not None:
                    subscription.since = since
            if subscription is not None:
                subscription.is_gathered = True
                self._namespaces[namespace] += 1

    def close(self) -> None:
        """Follow nothing any more."""
        for subscription in self.subscriptions.values():
            self._topics.leave(subscription)
        for namespace in self._namespaces:
            self._topics.unwatch(namespace, self)
        self.subscriptions.clear()
        self._namespaces.clear()
        self.due.clear()
        self.refused.clear()

    def _follow(self, name: str, now: float) -> Subscription | None:
        if len(name) > MAX_CHARS:
            raise SessionError(f"a name of {len(name)} characters; allowed: at most {MAX_CHARS}")
        topic = self._topics.admit(name)
        if topic is None:
            self._unknown[name] = None
            return None
        subscription = self.subscriptions[topic.name] = Subscription(self, topic, self._known.pop(name, None))
        self._topics.follow(subscription)
        self.due[subscription] = now
        return subscription

    def _forget(self, subscription: Subscription) -> None:
        self._topics.leave(subscription)
        del self.subscriptions[subscription.topic.name]
        self.due.pop(subscription, None)
        if self.refused.pop(subscription, None) is not None:
            self._recover([subscription.topic.name])

    def _gather(self, namespace: str, now: float) -> None:
        if namespace not in self._namespaces:
            self._namespaces[namespace] = 0
            self._topics.watch(namespace, self)
            self._check_room()
        self._fill(namespace, now)

    def _fill(self, namespace: str, now: float) -> None:
        for name in self._topics.services_of(namespace):
            if self._namespaces[namespace] >= self._bounds.services:
                return
            self.announce(name, now, inf)

    def _scatter(self, namespace: str) -> None:
        if self._namespaces.pop(namespace, None) is None:
            return
        self._topics.unwatch(namespace, self)
        prefix = all_services(namespace)[:-1]
        for name, subscription in list(self.subscriptions.items()):
            if subscription.is_gathered and name.startswith(prefix):
                subscription.is_gathered = False
                if not subscription.is_asked:
                    self._forget(subscription)

    def _check_room(self) -> None:
        if len(self.subscriptions) + len(self._namespaces) + len(self._unknown) > self._bounds.names:
            raise SessionError(f"follows more than {self._bounds.names} names", is_excess=True)

    # What it is sent

    def next(self, now: float) -> bytes | None:
        """Return the frame to write now; None when there is nothing to send, or enough on its way."""
        if self._is_subscribing or not self.has_more() or len(self.flights) >= self._bounds.window_pushes:
            return None
        chosen, parts, size = self._choose(now)
        unknown = self._choose_unknown(size) if self._unknown else []
        if not (parts or unknown or self._owes):
            return None
        if self.flights and self.in_flight_bytes + size > self._bounds.window_bytes:
            return None
        made = self._frames.of(tuple(parts), unknown, self.flights)
        flight = self.flights[made.nonce] = Flight(made, chosen, now, now, inf)
        for subscription, part in zip(chosen, parts):  # noqa: B905 - as long as each other
            if (at := self.due.pop(subscription)) < flight.queued_at:
                flight.queued_at = at
            flight.since = min(flight.since, subscription.since)
            subscription.since = inf
            subscription.sent = part.version
            subscription.flight = flight
        self.in_flight_bytes += len(made.data)
        for name in unknown:
            del self._unknown[name]
        self._owes = False
        self._shrink()
        if self._namespaces:
            self._let_go(chosen, now)
        return made.data

    def _shrink(self) -> None:
        """Give up the room of what was much at the beginning: an empty dictionary keeps it otherwise."""
        for emptied in (self.due, self._known, self._unknown):
            if not emptied:
                emptied.clear()

    def _choose(self, now: float) -> tuple[list[Subscription], list[Part], int]:
        """Pick what goes into the next push; what needs no sending (any more) is taken from what is due."""
        chosen: list[Subscription] = []
        parts: list[Part] = []
        size = 0
        namespace = self.node.namespace
        due = self.due
        gone: list[Subscription] = []
        for subscription in sorted(due, key=_rank) if len(due) > 1 else list(due):
            item = subscription.topic.item(namespace)
            if item.version == subscription.sent or (
                self.refused and item.version == self.refused.get(subscription, _NEVER)[0]
            ):
                self._settle(subscription, item.version)
                if subscription.is_gathered and item.version == ABSENT:
                    gone.append(subscription)
                continue
            part = item.part(subscription.sent)
            if len(part.data) > MAX_FRAME_BYTES - 1024:
                self._refuse_huge(subscription, part)
                continue
            if parts and size + len(part.data) > self._bounds.push_bytes:
                break
            chosen.append(subscription)
            parts.append(part)
            size += len(part.data)
        if gone:
            self._let_go(gone, now)
            if due and not parts:
                return self._choose(now)
        return chosen, parts, size

    def _choose_unknown(self, size: int) -> list[str]:
        unknown: list[str] = []
        for name in self._unknown:
            size += len(name) + 3
            if size > self._bounds.push_bytes and unknown:
                break
            unknown.append(name)
        return unknown

    def _settle(self, subscription: Subscription, version: str) -> None:
        """Nothing is to be sent of it: the sidecar has this version, or has refused it."""
        del self.due[subscription]
        subscription.since = inf
        if version == subscription.sent and self.refused.pop(subscription, None) is not None:
            self._recover([subscription.topic.name])

    def _refuse_huge(self, subscription: Subscription, part: Part) -> None:
        text = f"has {len(part.data)} bytes and fits into no message; allowed: {MAX_FRAME_BYTES}"
        self.problems = [*self.problems, Problem(part.name, "", text)][-MAX_PROBLEMS:]
        self.refused[subscription] = part.version, self.due.pop(subscription)
        subscription.since = inf

    def _let_go(self, chosen: list[Subscription], now: float) -> None:
        """Of the Services of a namespace, those that exist no more make room for others."""
        for subscription in chosen:
            if subscription.sent == ABSENT and subscription.is_gathered:
                namespace = subscription.topic.name.split("/")[1]
                was_full = self._namespaces[namespace] >= self._bounds.services
                self._namespaces[namespace] -= 1
                subscription.is_gathered = False
                if not subscription.is_asked:
                    self._forget(subscription)
                if was_full:
                    self._fill(namespace, now)

    # What came of it

    def on_ack(self, nonce: str, waiting: list[str]) -> Flight:
        """Take an Ack; returns what it is about. Raise SessionError for a push that is not on its way."""
        flight = self._land(nonce)
        for subscription, part in zip(flight.subscriptions, flight.frame.parts):  # noqa: B905 - as long as each other
            subscription.taken = part.version
            if subscription.flight is flight:
                subscription.flight = None
            if self.refused:
                self.refused.pop(subscription, None)
        if self.problems:
            self._recover([part.name for part in flight.frame.parts])
        self.waiting = [name[:MAX_CHARS] for name in waiting[:MAX_WAITING]] if waiting else waiting
        return flight

    def on_nack(self, nonce: str, problems: list[Problem], now: float) -> None:
        """Take a Nack: go back to what the sidecar holds; what it does not blame is sent again without the rest.

        A patch that was blamed may only have met another base than was thought: it is sent again whole.
        """
        flight = self._land(nonce)
        self.problems = [_shortened(problem) for problem in problems[:MAX_PROBLEMS]]
        blamed = {problem.name for problem in problems} & {part.name for part in flight.frame.parts}
        for subscription, part in zip(flight.subscriptions, flight.frame.parts, strict=True):
            if subscription.flight is not flight:
                continue  # something newer is on its way, or it was left
            subscription.flight = None
            subscription.sent = subscription.taken
            if self.subscriptions.get(part.name) is not subscription:
                continue  # not followed any more
            if not blamed or part.name in blamed:
                if part.is_patch:
                    subscription.sent = subscription.taken = None
                else:
                    self.refused[subscription] = part.version, flight.queued_at
            self.due.setdefault(subscription, now)

    def _land(self, nonce: str) -> Flight:
        flight = self.flights.pop(nonce, None)
        if flight is None:
            raise SessionError(f"answered a push that is not on its way: {nonce[:64]!r}")
        self.in_flight_bytes -= len(flight.frame.data)
        return flight

    def _recover(self, names: list[str]) -> None:
        """Forget the problems of what is in order again."""
        left = [problem for problem in self.problems if problem.name not in names]
        self.problems = left if self.refused or self.due or self.flights else []

    # What is told of it

    def has_more(self) -> bool:
        """Tell whether there may be something to send."""
        return bool(self.due or self._owes or self._unknown)

    def is_synced(self) -> bool:
        """Tell whether it has acknowledged the present version of everything that it follows."""
        return not (self.flights or self.refused or self.has_more())

    def pending_since(self) -> float:
        """When the oldest thing became due that it has not answered; inf when there is none."""
        queued = min((flight.queued_at for flight in self.flights.values()), default=inf)
        return min(queued, next(iter(self.due.values()), inf))

    def refused_since(self) -> float:
        """When the oldest thing became due that it has refused; inf when there is none."""
        return min((at for _, at in self.refused.values()), default=inf)

    def sent_since(self) -> float:
        """When the oldest push on its way was sent; inf when there is none."""
        return next((flight.sent_at for flight in self.flights.values()), inf)


def _shortened(problem: Problem) -> Problem:
    return Problem(problem.name[:MAX_CHARS], problem.path[:MAX_CHARS], problem.message[:MAX_PROBLEM_CHARS])
