"""How much an instance can do at once: slots, a queue before them, and how long work takes. Pure."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from random import Random
from typing import Generic, TypeVar

from loadtest.scenario.model import ServiceTime

UNLIMITED = 100_000
"""Slots of an instance without `concurrency`: as many as may be asked for, so that there is always a bound."""

T = TypeVar("T")


class Place(Enum):
    """What a request got: SLOT: work begins now; QUEUE: `finish` gives it out in its turn; NONE: there is no room."""

    SLOT = 1
    QUEUE = 2
    NONE = 3


class Capacity(Generic[T]):
    """`concurrency` slots, and a first-in-first-out queue of at most `queue`."""

    __slots__ = ("_concurrency", "_queue", "_waiting", "serving")

    def __init__(self, concurrency: int | None, queue: int) -> None:
        self._concurrency = UNLIMITED if concurrency is None else concurrency
        self._queue = queue
        self._waiting: OrderedDict[T, None] = OrderedDict()
        self.serving = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def admit(self, request: T) -> Place:
        if self.serving < self._concurrency:
            self.serving += 1
            return Place.SLOT
        if len(self._waiting) < self._queue:
            self._waiting[request] = None
            return Place.QUEUE
        return Place.NONE

    def finish(self) -> T | None:
        """A slot's work is done. Gives the request that has the slot now, or None: the slot is free."""
        if self._waiting:
            return self._waiting.popitem(last=False)[0]
        self.serving -= 1
        return None

    def leave(self, request: T) -> None:
        """Gives up its place in the queue; nothing happens when it has none."""
        self._waiting.pop(request, None)


def draw_s(time: ServiceTime, rng: Random) -> float:
    """How long one request is worked on."""
    if time.fixed is not None:
        return time.fixed
    if time.uniform is not None:
        return rng.uniform(*time.uniform)
    return rng.expovariate(1.0 / time.exponential) if time.exponential else 0.0
