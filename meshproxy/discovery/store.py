"""The configuration as it was pushed: what is in effect, what waits, and what is to be asked for next.

Laws: a push is taken whole or not at all. New routes take effect when every backend that they name is known with its
endpoints (or is known not to exist), at the latest `HOLD_S` after they came; what routes in effect use stays as long,
also when it is taken away before the routes that give it up have come, at the latest `HOLD_S` after that. What is in
effect of a name is always one version as it was pushed. What nobody needs any more is forgotten.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Generator, Iterable, Iterator
from typing import NamedTuple

from meshproxy.discovery.following import Following
from meshproxy.discovery.intake import read_update
from meshproxy.discovery.wants import Key, Limits, Wants
from meshproxy.wire import names
from meshproxy.wire.change import Change, Outlook
from meshproxy.wire.problem import Problem
from meshproxy.wire.resources import Routes, Service
from meshproxy.wire.snapshot import MAX_PROBLEMS, Entry
from meshproxy.wire.stream import Push, all_services

HOLD_S = 5.0
"""The longest that new routes wait for what they name, and that what is gone waits for the routes that name it."""
HOLD_FIRST_S = 2.0
"""The same for the first routes of a port: whoever called it is waiting for them, no longer than three seconds."""

_UNKNOWN = object()
_OFFERED = object()
_WORKLOAD: Key = ("", "")
"""The root of what a sidecar needs for its own inbound side."""


class Taken(NamedTuple):
    """What comes of a push, or of time passing. With `problems` nothing of the push was taken.

    `waiting`: what held routes wait for. `subscribe`, `unsubscribe`: names that came to be followed, or ceased to be.
    """

    change: Change
    problems: list[Problem]
    waiting: list[str]
    subscribe: list[str]
    unsubscribe: list[str]


class Held(NamedTuple):
    """New routes that wait, at most until a time that the first version which had to wait has set."""

    entry: Entry
    until: float


class Store:
    """Everything is told to it, and it answers with what is to be done. `now` is monotonic seconds.

    `workload` is the name of the sidecar's own workload, empty when it has no inbound side; `has_outbound`: whether
    Services are followed.
    """

    __slots__ = (
        "_awaited", "_doomed", "_following", "_is_fresh", "_is_streaming", "_namespace", "_stale", "_states",
        "_touched", "held", "refused", "wants",
    )  # fmt: skip

    def __init__(self, namespace: str, workload: str, *, has_outbound: bool, limits: Limits = Limits()) -> None:  # noqa: B008 - immutable
        self.wants = Wants(limits)
        self.held: dict[str, Held] = {}
        self.refused: set[str] = set()  # names whose latest version on this stream was refused
        self._namespace = namespace if has_outbound else ""
        self._following = Following()
        self._states: dict[str, Entry | None] = {}  # what is in effect; None: known not to exist
        self._doomed: dict[str, float] = {}  # exist no more, and in effect until no routes name them: since when
        self._touched: dict[str, object] = {}  # what was in effect when the last change was collected
        self._stale: set[Key] = set()  # Services whose needs have to be looked at again
        self._is_streaming = False
        self._is_fresh = False  # nothing was pushed since the last Subscribe
        self._awaited: set[str] = set()  # asked for on this stream, and not answered yet
        if workload:
            self._following.need(_WORKLOAD, [f"workload/{namespace}/{workload}"])
            self._following.take()  # each stream begins by asking for it

    # What is there

    def entries(self) -> list[Entry]:
        """Return what is in effect."""
        return [state for state in self._states.values() if state is not None]

    @property
    def followed(self) -> Collection[str]:
        return self._following

    @property
    def is_answered(self) -> bool:
        """Whether all that was asked for on this stream has been answered, be it by what was refused."""
        return self._is_streaming and not self._is_fresh and not self._awaited

    @property
    def is_synced(self) -> bool:
        """Whether all that was asked for on this stream has been answered and taken."""
        return self.is_answered and not self.refused

    def awaited(self) -> list[str]:
        """Return what was asked for on this stream and is not answered, or has to come again without the rest."""
        return sorted(self._awaited)

    def waiting(self) -> list[str]:
        """Return what held routes wait for."""
        return sorted({name for held in self.held.values() for name in self._missing(held.entry)})

    def next_at(self) -> float | None:
        """Return when `on_time` has something to do."""
        times = [held.until for held in self.held.values()]
        times += [since + HOLD_S for since in self._doomed.values()]
        if (idle_at := self.wants.next_at()) is not None:
            times.append(idle_at)
        return min(times, default=None)

    @property
    def is_due(self) -> bool:
        """Whether `on_time` has something to do, whatever the time."""
        return bool(self._stale or self.wants.changed)

    # What happens

    def want(self, namespace: str, name: str, port: int | None, now: float) -> Outlook:
        """Note that a Service is called. Follow with `on_time` when `is_due`."""
        if not names.is_label(namespace) or not names.is_label(name):
            return Outlook.ABSENT
        key = (namespace, name)
        state = self._states.get(f"service/{namespace}/{name}", _UNKNOWN)
        if not self.wants.call(key, port, now):
            return Outlook.REFUSED
        if state is None:
            return Outlook.ABSENT
        if isinstance(state, Entry):
            assert isinstance(state.resource, Service)
            self.wants.on_traffic((key,), now)
            if port is not None and self._has_no(key, state.resource, port):
                return Outlook.ABSENT
        return Outlook.COMING

    def _has_no(self, key: Key, service: Service, port: int) -> bool:
        routes = names.PortKey(*key, port).name("routes")
        return all(port != one.port for one in service.ports) or self._states.get(routes, _UNKNOWN) is None

    def restore(self, entries: Iterable[Entry], used: Iterable[Key], now: float) -> Taken:
        """Take what an earlier life has left behind; what nobody wants of it is left out. Nothing of it is held."""
        self.wants.on_earlier(used)
        for entry in entries:
            if entry.name not in self._states:
                self._put(entry.name, entry, now)
        self._fold()
        for name in [name for name in self._states if name not in self._following]:
            self._forget(name)
        return self._collect([])

    def begin(self) -> tuple[dict[str, str], list[str]]:
        """A stream begins: return what is held, by version, and what to subscribe to. Follows an `on_time`."""
        known = {}
        for name, state in self._states.items():
            if state is not None and name not in self._doomed:
                known[name] = state.version
        known.update({name: held.entry.version for name, held in self.held.items()})
        self._is_streaming = True
        self._awaited.clear()
        self.refused.clear()
        followed = list(self._following)
        self.on_subscribed(followed)
        return known, [all_services(self._namespace), *followed] if self._namespace else followed

    def end(self) -> None:
        """The stream has ended; all that is in effect stays."""
        self._is_streaming = False

    def on_subscribed(self, subscribed: Iterable[str]) -> None:
        """Names have been asked for on this stream."""
        self._is_fresh = True
        self._awaited.update(name for name in subscribed if self._latest(name) is None)

    def take_steps(self, push: Push, now: float) -> Generator[None, None, Taken]:
        """Take a push in short steps; the generator returns what comes of it.

        Nothing but `want` may be called before it has come to its end.
        """
        problems: list[Problem] = []
        updated: list[Entry] = []
        seen: set[str] = set()
        removed: list[str] = []
        for name in push.removed:
            if self._is_readable(name, seen, problems):
                removed.append(name)
            yield
        for update in push.updated:
            if self._is_readable(update.name, seen, problems) and self._is_expected(update.name):
                entry = read_update(update, self._latest(update.name), problems)
                if entry is not None:
                    updated.append(entry)
            yield
        self._is_fresh = False
        if problems:
            self._on_refused(seen, {problem.name for problem in problems})
            return self._collect(problems[:MAX_PROBLEMS])
        removed = list(filter(self._is_expected, removed))
        # Services first, as they make room for others of their namespace; the rest last: new routes may need it still.
        for name in itertools.filterfalse(_is_no_service, removed):
            self._put(name, None, now)
        for entry in updated:
            self._on_updated(entry, now)
        for name in filter(_is_no_service, removed):
            self._on_removed(name, now)
        self._awaited -= seen
        self.refused -= seen
        return self.on_time(now)

    def _on_refused(self, seen: set[str], blamed: set[str]) -> None:
        """Nothing of a push was taken: what is not blamed comes again without the rest."""
        followed = {name for name in seen if name in self._following}
        self.refused |= followed & blamed
        self._awaited |= followed
        self._awaited -= self.refused

    def on_time(self, now: float) -> Taken:
        """Do what is due: let routes take effect, drop what is idle, follow what is wanted."""
        self.wants.drop_idle(now)
        for name, held in list(self.held.items()):
            if now >= held.until or not any(self._missing(held.entry)):
                self._put(name, held.entry, now)
        for name, since in list(self._doomed.items()):
            if now >= since + HOLD_S:
                self._put(name, None, now)
        self._fold()
        return self._collect([])

    def offer_again(self, change: Change) -> None:
        """A change could not be put into effect: let the next one hold it as well."""
        for name in (*(entry.name for entry in change.updated), *change.removed, *change.forgotten):
            self._touched[name] = _OFFERED

    # Names

    def _is_readable(self, name: str, seen: set[str], problems: list[Problem]) -> bool:
        """Tell whether a name is of a kind that we know; what is wrong with it is added to `problems`."""
        if names.kind_of(name) not in names.TYPES or name == all_services(self._namespace):
            return False
        try:
            names.parse(name)
        except ValueError as error:
            problems.append(Problem(name[: names.MAX_CHARS], "", str(error)))
            return False
        if name in seen:
            problems.append(Problem(name, "", "stands twice in the push"))
        seen.add(name)
        return True

    def _is_expected(self, name: str) -> bool:
        """Tell whether a name is followed; what is on its way for one that is not any more is passed over."""
        return name in self._following or (not _is_no_service(name) and _service_of(name)[0] == self._namespace)

    def _latest(self, name: str) -> Entry | None:
        """Return the version that the control plane knows us to have."""
        held = self.held.get(name)
        return held.entry if held is not None else None if name in self._doomed else self._states.get(name)

    # Changes of what is in effect

    def _on_removed(self, name: str, now: float) -> None:
        is_lane = names.kind_of(name) in ("backend", "endpoints")
        if is_lane and self._states.get(name) is not None:
            # It is followed, so routes name it; the ones that give it up are in this push, or in one on its way.
            self._doomed.setdefault(name, now)
        else:
            self._put(name, None, now)

    def _on_updated(self, entry: Entry, now: float) -> None:
        name = entry.name
        if isinstance(entry.resource, Routes) and any(self._missing(entry)):
            held = self.held.get(name)
            former = self._states.get(name)
            until = now + (HOLD_S if former is not None else HOLD_FIRST_S)
            self.held[name] = Held(entry, held.until if held is not None else until)
            for used in self._doomed.keys() & (_backends(former) if former is not None else ()):
                self._doomed[used] = now
            self._stale.add(_service_of(name))
        else:
            self._put(name, entry, now)

    def _put(self, name: str, state: Entry | None, now: float) -> None:
        """Let a version be in effect, or be known not to exist."""
        kind = names.kind_of(name)
        if kind == "service":
            key = _service_of(name)
            exists = state is not None
            if key[0] == self._namespace:
                self.wants.on_own(key, exists)
            if key not in self.wants and name not in self._following:
                return
            self.wants.on_answer(key, exists, now)
        if kind in ("service", "routes"):
            self._stale.add(_service_of(name))
        self._touched.setdefault(name, self._states.get(name, _UNKNOWN))
        self._states[name] = state
        self._doomed.pop(name, None)
        self.held.pop(name, None)

    def _forget(self, name: str) -> None:
        if name in self._states:
            self._touched.setdefault(name, self._states.pop(name))
        self._doomed.pop(name, None)
        self.held.pop(name, None)
        self._awaited.discard(name)
        self.refused.discard(name)

    # What follows from them

    def _missing(self, routes: Entry) -> Iterator[str]:
        """Yield what these routes need and nothing is known of."""
        return (name for name in _backends(routes) if name not in self._states)

    def _fold(self) -> None:
        """Look again at what Services need, and forget what nobody does."""
        stale = self._stale | self.wants.changed
        self._stale.clear()
        self.wants.changed.clear()
        for key in stale:
            self._following.need(key, self._needs(key) if key in self.wants else ())
        for key in self._following.short():
            self._following.need(key, self._needs(key))

    def _needs(self, key: Key) -> Iterator[str]:
        """Yield what the calls of a Service need: asked for at once, as far as it can be guessed."""
        service = f"service/{key[0]}/{key[1]}"
        yield service
        state = self._states.get(service, _UNKNOWN)
        if state is None:
            return
        if isinstance(state, Entry):
            assert isinstance(state.resource, Service)
            ports = [port.port for port in state.resource.ports]
        else:
            ports = self.wants.ports(key)
        for port in ports:
            lane = names.PortKey(*key, port)
            routes = lane.name("routes")
            yield routes
            held = self.held.get(routes)
            versions = [entry for entry in (self._states.get(routes), held and held.entry) if entry is not None]
            for entry in versions:
                yield from _backends(entry)
            if not versions and routes not in self._states:
                yield from (lane.name("backend"), lane.name("endpoints"))

    def _collect(self, problems: list[Problem]) -> Taken:
        """Gather what has changed since the last time."""
        came, gone = self._following.take()
        for name in gone:
            self._forget(name)
        change = Change([], [], [])
        for name, former in self._touched.items():
            state = self._states.get(name, _UNKNOWN)
            if state == former:
                continue
            if isinstance(state, Entry):
                change.updated.append(state)
            else:
                (change.removed if state is None else change.forgotten).append(name)
        self._touched.clear()
        return Taken(change, problems, self.waiting() if self.held else [], came, gone)


def _is_no_service(name: str) -> bool:
    return names.kind_of(name) != "service"


def _service_of(name: str) -> Key:
    _, namespace, rest = name.split("/")
    return namespace, rest.partition(":")[0]


def _backends(routes: Entry) -> Iterator[str]:
    """Yield the names of the backends that routes lead to, and of their endpoints."""
    assert isinstance(routes.resource, Routes)
    for key in dict.fromkeys(one.backend for rule in routes.resource.rules for one in rule.backends if not one.fault):
        yield f"backend/{key}"
        yield f"endpoints/{key}"
