"""Ages as operators read them: `5s`, `2m30s`, `3h`, `12d`."""

from __future__ import annotations

from datetime import datetime

_UNITS = (("y", 365 * 86400), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SHOWN_ALONE = {"y": 8, "d": 8, "h": 8, "m": 10, "s": 0}
"""From so many of a unit on, the next smaller one says nothing that matters."""


def age_of(stamp: str, now: float) -> str:
    """Return the time since an RFC 3339 stamp; `now` is wall time. `<unknown>` where there is none."""
    try:
        return shown(now - datetime.fromisoformat(stamp).timestamp())
    except ValueError:
        return "<unknown>"


def shown(seconds: float) -> str:
    """Return a duration in at most two units. What lies in the future (a clock that was set back) has age 0."""
    left = max(0, int(seconds))
    if 60 <= left < 120:
        return f"{left}s"
    for i, (unit, size) in enumerate(_UNITS):
        count, rest = divmod(left, size)
        if count or size == 1:
            if count >= _SHOWN_ALONE[unit] or size == 1:
                return f"{count}{unit}"
            smaller, small = _UNITS[i + 1]
            return f"{count}{unit}{rest // small}{smaller}" if rest // small else f"{count}{unit}"
    raise AssertionError
