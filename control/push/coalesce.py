"""When changes go out: the first at once, those that follow it closely together."""

from __future__ import annotations

from math import inf

WINDOW_S = 0.010
"""Changes that follow within this time of the one before them wait for each other."""
LONGEST_S = 0.100
"""A change waits no longer than this, however many follow it."""


class Coalescer:
    """Says when to flush; times are monotonic seconds.

    After a flush a window is open; what changes in it waits until no change has come for WINDOW_S, at most LONGEST_S
    from the first one that waits.
    """

    __slots__ = ("_due", "_latest", "_open_until")

    def __init__(self) -> None:
        self._open_until = -inf
        self._due = inf
        self._latest = inf

    def on_change(self, now: float) -> float:
        """Return when to flush, which replaces what was said before; not later than `now`: at once."""
        if self._due == inf:
            self._latest = now + LONGEST_S
            self._due = max(now, self._open_until)
        if now < self._open_until:
            self._due = self._open_until = min(max(self._open_until, now + WINDOW_S), self._latest)
        return self._due

    def on_flush(self, now: float) -> None:
        """What had changed is on its way."""
        self._due = self._latest = inf
        self._open_until = now + WINDOW_S
