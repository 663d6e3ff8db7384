"""Which fault a request meets, and which one holds for a whole instance. Pure: time and chance are arguments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from random import Random
from typing import Any

from loadtest.scenario.model import WHOLE, Fault


class Rule:
    """A fault made ready for one instance. `value` is what stands in the file beside `kind`."""

    __slots__ = ("_begins", "_ends", "_reused", "_share", "kind", "value")

    def __init__(self, fault: Fault) -> None:
        windows = fault.windows()
        self.kind = fault.kind
        self.value: Any = getattr(fault, fault.kind)
        self._begins = [begin for begin, _ in windows]
        self._ends = [end for _, end in windows]
        self._share = fault.percent / 100
        self._reused = fault.reused

    def holds(self, now_s: float) -> bool:
        at = bisect_right(self._begins, now_s) - 1
        return at >= 0 and now_s < self._ends[at]

    def applies(self, now_s: float, number: int, rng: Random) -> bool:
        """Whether it strikes request `number` (from 1) of a connection. Chance is asked only when it decides."""
        if not self.holds(now_s) or (self._reused and number == 1):
            return False
        return self._share >= 1 or rng.random() < self._share

    def next_edge(self, now_s: float) -> float | None:
        """When it begins or ends next, after `now_s`."""
        coming = [edges[at] for edges in (self._begins, self._ends) if (at := bisect_right(edges, now_s)) < len(edges)]
        return min(coming, default=None)


class Faults:
    """The faults of one instance in the order of the file. `now_s` is seconds since the run's start."""

    __slots__ = ("_requests", "_whole")

    def __init__(self, faults: Sequence[Fault], origin: str, instance: int) -> None:
        rules = [
            Rule(fault)
            for fault in faults
            if fault.origin in {None, origin} and (fault.instances is None or instance in fault.instances)
        ]
        self._whole = [rule for rule in rules if rule.kind in WHOLE]
        self._requests = [rule for rule in rules if rule.kind not in WHOLE]

    def pick(self, now_s: float, number: int, rng: Random) -> Rule | None:
        """What request `number` (from 1) of its connection meets: the first that applies, or nothing."""
        for rule in self._requests:
            if rule.applies(now_s, number, rng):
                return rule
        return None

    def whole(self, now_s: float) -> str | None:
        """`refuse`, `black_hole` or nothing holds for the instance as a whole; the first of the file if both do."""
        return next((rule.kind for rule in self._whole if rule.holds(now_s)), None)

    def next_edge(self, now_s: float) -> float | None:
        """When `whole` may be another one, at the earliest."""
        return min((edge for rule in self._whole if (edge := rule.next_edge(now_s)) is not None), default=None)
