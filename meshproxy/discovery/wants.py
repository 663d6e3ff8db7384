"""Which Services the sidecar wants to know, and why; bounded against names that clients make up.

A Service is wanted because it was called in this life (least recently used out, idle ones dropped, and those that do
not exist before all others), because it belongs to the sidecar's own namespace, or because an earlier life called it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from meshproxy.kit.bucket import Bucket

Key: TypeAlias = tuple[str, str]
"""A Service: its namespace and its name."""

DEFAULT_PORT = 80


class Limits(NamedTuple):
    """The bounds of what is wanted. Times are seconds."""

    called: int = 1024
    idle_s: float = 600.0
    own: int = 256
    earlier: int = 256
    unanswered: int = 64
    """Called names at once of which it is not known yet whether they exist."""
    calls_per_s: float = 100.0
    """New called names."""
    calls_at_once: int = 256
    ports: int = 4
    """Ports of a Service that are asked for before it is known which it has."""


class _Call:
    __slots__ = ("at", "ports")

    def __init__(self, at: float) -> None:
        self.at = at
        self.ports: list[int] = []


class Wants:
    """Tell it of calls and answers. `changed` gathers the Services that came to be wanted or ceased to be."""

    __slots__ = (
        "_bucket", "_earlier", "_limits", "_missing", "_own", "_present", "_recent", "_unanswered", "changed",
    )  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Called ones, the longest unused first: those that do not exist, and all others.
        self._missing: OrderedDict[Key, _Call] = OrderedDict()
        self._present: OrderedDict[Key, _Call] = OrderedDict()
        self._unanswered: set[Key] = set()  # called ones of which it is not known yet whether they exist
        self._own: set[Key] = set()
        self._earlier: dict[Key, bool] = {}  # whether it still exists, as far as is known
        self._recent: OrderedDict[Key, None] = OrderedDict()
        self._bucket = Bucket(limits.calls_per_s, limits.calls_at_once)
        self.changed: set[Key] = set()

    def __contains__(self, key: Key) -> bool:
        return key in self._present or key in self._missing or key in self._own or key in self._earlier

    @property
    def called(self) -> int:
        return len(self._present) + len(self._missing)

    def ports(self, key: Key) -> list[int]:
        """Return the ports to ask for while those of the Service are not known."""
        call = self._present.get(key) or self._missing.get(key)
        return call.ports if call is not None and call.ports else [DEFAULT_PORT]

    def call(self, key: Key, port: int | None, now: float) -> bool:
        """Note that a Service which is not known is called; False if there are too many new ones."""
        if key in self:
            self._use(key, now)
            call = self._present.get(key) or self._missing.get(key)
            if call is not None:
                self._add_port(key, call, port)
            return True
        # The unanswered first: what cannot be asked for anyway takes nothing from the bucket.
        if len(self._unanswered) >= self._limits.unanswered or not self._bucket.admit(now):
            return False
        if self.called >= self._limits.called:
            oldest, _ = (self._missing or self._present).popitem(last=False)
            self._on_dropped(oldest)
        call = self._present[key] = _Call(now)
        self._add_port(key, call, port)
        self._unanswered.add(key)
        self.changed.add(key)
        return True

    def _add_port(self, key: Key, call: _Call, port: int | None) -> None:
        port = port or DEFAULT_PORT
        if port not in call.ports and len(call.ports) < self._limits.ports:
            call.ports.append(port)
            self.changed.add(key)

    def on_answer(self, key: Key, exists: bool, now: float) -> None:
        """Note whether a Service exists; of those called, what does not is the first to go."""
        self._unanswered.discard(key)
        if key in self._earlier:
            self._earlier[key] = exists
        source, target = (self._missing, self._present) if exists else (self._present, self._missing)
        call = source.pop(key, None)
        if call is not None:
            call.at = now
            target[key] = call
        if not exists:
            self._recent.pop(key, None)
        elif key in self._present:
            self._remember(key)

    def on_own(self, key: Key, exists: bool) -> None:
        """Note whether a Service of the own namespace exists; past the bound it is not wanted for that."""
        if not exists and key in self._own:
            self._own.discard(key)
            self.changed.add(key)
        elif exists and key not in self._own and len(self._own) < self._limits.own:
            self._own.add(key)
            self.changed.add(key)

    def on_earlier(self, keys: Iterable[Key]) -> None:
        """Want what an earlier life has called, those used last first."""
        for key in keys:
            if len(self._earlier) >= self._limits.earlier:
                return
            self._earlier[key] = True
            self.changed.add(key)

    def on_traffic(self, keys: Iterable[Key], now: float) -> None:
        """Note that known Services are in use."""
        for key in keys:
            if key in self:
                self._use(key, now)
                self._remember(key)

    def drop_idle(self, now: float) -> None:
        """Drop what was called once and is not any more."""
        for calls in (self._missing, self._present):
            while calls and next(iter(calls.values())).at + self._limits.idle_s <= now:
                self._on_dropped(calls.popitem(last=False)[0])

    def next_at(self) -> float | None:
        """Return when `drop_idle` has something to do."""
        oldest = [next(iter(calls.values())).at for calls in (self._missing, self._present) if calls]
        return min(oldest) + self._limits.idle_s if oldest else None

    def used(self) -> list[Key]:
        """Return what a later life should want: what was used last first; at most `Limits.earlier`."""
        keys = dict.fromkeys(reversed(self._recent))
        keys.update(dict.fromkeys(key for key, exists in self._earlier.items() if exists))
        return list(keys)[: self._limits.earlier]

    def _use(self, key: Key, now: float) -> None:
        for calls in (self._missing, self._present):
            if key in calls:
                calls[key].at = now
                calls.move_to_end(key)

    def _remember(self, key: Key) -> None:
        self._recent[key] = None
        self._recent.move_to_end(key)
        if len(self._recent) > self._limits.earlier:
            self._recent.popitem(last=False)

    def _on_dropped(self, key: Key) -> None:
        self._unanswered.discard(key)
        self.changed.add(key)
