"""When the next request is sent: when it is due, or when an answer came."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Protocol

from loadtest.client.alarm import Alarm, BusyAlarm, TimerAlarm
from loadtest.client.plan import Shift

_BURST = 64
"""Requests sent in one go, at most: answers are read in between, or our lateness would seem the target's doing."""
_NEVER = (float("inf"), 0)

Send = Callable[[float, int], None]
"""Sends a request: its intended start in seconds of the run, and its phase."""


class Pace(Protocol):
    """Calls its Send from `start` on; `is_over` when it will not do so any more."""

    is_over: bool

    def start(self, at_s: float) -> None:
        """The run starts at this moment of CLOCK_MONOTONIC, which may have passed."""
        ...

    def on_settled(self) -> None:
        """A request has its outcome."""
        ...

    def stop(self) -> None: ...


class OpenLoop:
    """Requests go out when they are due, whatever became of those before. `late` is told how late each one was here.

    `busy`: it waits for them without sleeping.
    """

    def __init__(
        self, starts: Iterator[tuple[float, int]], send: Send, late: Callable[[float, int], None], *, busy: bool = False
    ) -> None:
        self.is_over = False
        self._starts = starts
        self._next = next(starts, _NEVER)
        self._send = send
        self._late = late
        self._at_s = 0.0
        self._alarm: Alarm = (BusyAlarm if busy else TimerAlarm)(self._on_alarm)

    def start(self, at_s: float) -> None:
        self._at_s = at_s
        self._set()

    def _set(self) -> None:
        if self._next is _NEVER:
            self.stop()
        else:
            self._alarm.set(self._at_s + self._next[0])

    def _on_alarm(self) -> None:
        for _ in range(_BURST):
            due_s, phase = self._next
            by_s = monotonic() - self._at_s - due_s
            if by_s < 0:
                break
            self._next = next(self._starts, _NEVER)
            self._late(by_s, phase)
            self._send(due_s, phase)
        self._set()

    def on_settled(self) -> None:
        """Nothing: what is due does not depend on it."""

    def stop(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._alarm.close()


class ClosedLoop:
    """So many callers, each of which sends its next request when it has its answer."""

    def __init__(self, shifts: Sequence[Shift], send: Send) -> None:
        self.is_over = False
        self._shifts = shifts
        self._send = send
        self._at_s = 0.0
        self._phase = 0
        self._calling = 0
        self._alarm = TimerAlarm(self._on_alarm)

    def start(self, at_s: float) -> None:
        self._at_s = at_s
        self._alarm.set(at_s)

    def _on_alarm(self) -> None:
        """A phase begins, or the last one has ended, unless an answer told so before."""
        now_s = monotonic() - self._at_s
        while now_s >= self._shifts[self._phase].until_s:
            self._phase += 1
            if self._phase == len(self._shifts):
                self.stop()
                return
        shift = self._shifts[self._phase]
        self._alarm.set(self._at_s + shift.until_s)
        while self._calling < shift.callers:
            self._calling += 1
            self._send(monotonic() - self._at_s, self._phase)

    def on_settled(self) -> None:
        if self.is_over:
            return
        shift = self._shifts[self._phase]
        now_s = monotonic() - self._at_s
        if now_s >= shift.until_s:
            self._calling -= 1
            self._on_alarm()
        elif self._calling > shift.callers:
            self._calling -= 1
        else:
            self._send(now_s, self._phase)

    def stop(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._alarm.close()
