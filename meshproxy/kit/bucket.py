"""Something that may happen so often a second, and a little more often at once."""

from __future__ import annotations


class Bucket:
    """A token bucket: `rate_per_s` on the long run, `burst` at once. Full at the start."""

    __slots__ = ("_burst", "_filled_at", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._filled_at: float | None = None

    def admit(self, now: float) -> bool:
        """Take one token, if there is one."""
        if self._filled_at is not None:
            gained = max(0.0, now - self._filled_at) * self._rate_per_s
            self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
