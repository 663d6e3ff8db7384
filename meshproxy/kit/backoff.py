"""Exponential backoff with full jitter: what waits together does not come back together."""

from __future__ import annotations

from collections.abc import Callable


def backoff(attempt: int, base_s: float, cap_s: float, rng: Callable[[], float]) -> float:
    """Seconds to wait before repetition `attempt` (from 0), evenly spread in [0, min(cap_s, base_s * 2**attempt)).

    `rng` yields values in [0, 1), as random.random does.
    """
    return rng() * min(cap_s, base_s * 2.0 ** min(attempt, 64))
