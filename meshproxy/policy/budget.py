"""The retry budget: repetitions as a part of requests, so that they cannot multiply an outage."""

from __future__ import annotations

from meshproxy.wire import resources as wire

SLOTS = 10
"""The window moves in steps of a tenth of its length."""


class RetryBudget:
    """Allows in a window `percent` of the window's requests as repetitions, or `min_per_s * window_s` if that is more.

    Kept in slots, and on the safe side: requests are counted over at most a window, repetitions over at least one.
    """

    __slots__ = ("_fresh", "_least", "_next_at", "_part", "_past", "_repeats", "_requests", "_slot_s", "_spent")

    def __init__(self, percent: float, min_per_s: float, window_s: float) -> None:
        self._part = max(percent, 0.0) / 100.0
        self._least = max(min_per_s, 0.0) * window_s
        self._slot_s = max(window_s, 0.001) / SLOTS
        self._next_at = 0.0  # when the next slot begins
        self._fresh = 0  # requests of the slot that lasts
        self._past = 0  # requests of the slots before it
        self._requests = [0] * (SLOTS - 1)  # the same, one by one, newest last
        self._repeats = [0] * (SLOTS + 1)  # repetitions, the slot that lasts at the end
        self._spent = 0  # their sum

    @classmethod
    def of(cls, settings: wire.RetryBudget) -> RetryBudget:
        return cls(settings.percent, settings.min_per_s, settings.window_s)

    @property
    def allowance(self) -> float:
        """Repetitions that the window's requests pay for."""
        return max(self._least, self._part * (self._past + self._fresh))

    @property
    def spent(self) -> int:
        """Repetitions of the window."""
        return self._spent

    def deposit(self, now: float) -> None:
        """Count a request (not a repetition)."""
        if now >= self._next_at:
            self._turn(now)
        self._fresh += 1

    def withdraw(self, now: float) -> bool:
        """Whether one repetition more is allowed; it is counted as made."""
        if now >= self._next_at:
            self._turn(now)
        if self._spent + 1 > self.allowance:
            return False
        self._repeats[-1] += 1
        self._spent += 1
        return True

    def _turn(self, now: float) -> None:
        """Move the window to `now`. Time that stands still or goes back moves nothing."""
        behind = (now - self._next_at) / self._slot_s
        steps = int(min(behind, SLOTS)) + 1
        # After a pause longer than the window the slots begin anew at `now`, else they follow each other without a gap.
        self._next_at = now + self._slot_s if behind >= SLOTS else self._next_at + steps * self._slot_s
        requests = [*self._requests, self._fresh, *[0] * (steps - 1)]
        self._requests = requests[-(SLOTS - 1) :]
        self._past = sum(self._requests)
        self._fresh = 0
        self._repeats = [*self._repeats, *[0] * steps][-(SLOTS + 1) :]
        self._spent = sum(self._repeats)
