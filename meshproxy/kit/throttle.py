"""Something that may happen too often, let through now and then."""

from __future__ import annotations

from math import inf


class Throttle:
    """Admits one event in `interval_s`, and counts the others."""

    __slots__ = ("_interval_s", "_last", "_suppressed")

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._last = -inf
        self._suppressed = 0

    def admit(self, now: float) -> int | None:
        """How many were suppressed since the last one admitted; None to suppress this one too."""
        if now - self._last < self._interval_s:
            self._suppressed += 1
            return None
        suppressed, self._suppressed = self._suppressed, 0
        self._last = now
        return suppressed
