"""Durations as Gateway API writes them (GEP-2257): `1h30m`, `250ms`, `0s`."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}")
_PART = re.compile(r"([0-9]+)(ms|h|m|s)")
_UNITS_MS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def parse_duration_s(text: str) -> float:
    """Return the seconds of a duration. Raise ValueError for anything that GEP-2257 does not allow."""
    if not _DURATION.fullmatch(text):
        raise ValueError(
            f"{text[:40]!r} is no duration; allowed: up to four numbers of at most five digits, "
            "each with its unit h, m, s or ms"
        )
    return sum(int(number) * _UNITS_MS[unit] for number, unit in _PART.findall(text)) / 1000
