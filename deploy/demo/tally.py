"""What users have seen: requests, failures, latencies."""

from __future__ import annotations

from collections import Counter

STEP_S = 0.0001
MAX_WORDS = 20
"""So many different failures are told apart."""


class Tally:
    """Counts of any number of requests, in bounded memory."""

    __slots__ = ("_steps", "failures", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.failures: Counter[str] = Counter()
        self._steps: Counter[int] = Counter()

    def add(self, latency_s: float, failure: str) -> None:
        """Count one request; `failure` is empty if there was none."""
        self.requests += 1
        self._steps[round(latency_s / STEP_S)] += 1
        if failure:
            self.failures[failure if failure in self.failures or len(self.failures) < MAX_WORDS else "other"] += 1

    def merge(self, other: Tally) -> None:
        self.requests += other.requests
        self.failures.update(other.failures)
        self._steps.update(other._steps)

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def success(self) -> float | None:
        """The part that succeeded, None without requests."""
        return 1 - self.failed / self.requests if self.requests else None

    def quantile_s(self, q: float) -> float | None:
        """The latency that the part `q` of all requests did not exceed, None without requests."""
        rank = q * self.requests
        seen = 0
        for step, count in sorted(self._steps.items()):
            seen += count
            if seen >= rank:
                return step * STEP_S
        return None
