"""Wall-clock time as text."""

from __future__ import annotations

import time
from functools import lru_cache


def stamp(wall_s: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    millis = int(wall_s * 1000)
    return f"{_second(millis // 1000)}.{millis % 1000:03d}Z"


def stamp_second(wall_s: float) -> str:
    """RFC 3339 in UTC without fraction, as Kubernetes writes metav1.Time."""
    return f"{_second(int(wall_s))}Z"


@lru_cache(maxsize=4)
def _second(wall_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall_s))
