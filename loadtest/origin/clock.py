"""Timers of finer grain than the event loop's millisecond: a heap, and one timerfd(2) for its first entry."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from heapq import heappop, heappush
from time import monotonic
from typing import TypeVar

from loadtest import timerfd

T = TypeVar("T")


class Clock:
    """Calls at moments of CLOCK_MONOTONIC. There is no cancelling: who is called looks whether it still matters."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._fd = timerfd.create()
        self._set = timerfd.setter(self._fd)
        self._loop = loop
        self._heap: list[tuple[float, int, Callable[..., None], object]] = []
        self._count = 0
        self._armed = 0.0
        loop.add_reader(self._fd, self._on_due)

    def at(self, moment: float, call: Callable[[T], None], argument: T) -> None:
        """`call(argument)` at `moment`, from the event loop; at once, but not from within, when that is past."""
        # The count keeps what is due at one moment in order, and callables from being compared.
        self._count += 1
        heappush(self._heap, (moment, self._count, call, argument))
        if not self._armed or moment < self._armed:
            self._arm(moment)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._heap.clear()

    def _arm(self, moment: float) -> None:
        self._armed = moment
        self._set(moment)

    def _on_due(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # armed anew since it fired
            return
        self._armed = 0.0
        heap = self._heap
        last = self._count
        now = monotonic()
        put_off: list[tuple[float, int, Callable[..., None], object]] = []
        try:
            while heap and heap[0][0] <= now:
                entry = heappop(heap)
                if entry[1] > last:  # made meanwhile: the next turn's, so that the loop lives
                    put_off.append(entry)
                    continue
                entry[2](entry[3])
        finally:  # also when one of them fails: the others are still due
            for entry in put_off:
                heappush(heap, entry)
            if heap and (not self._armed or heap[0][0] < self._armed):
                self._arm(heap[0][0])
