"""Durations, rates and sizes as people write them."""

from __future__ import annotations

import re

_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,12})?)"
_DURATION = re.compile(rf"(?:{_NUMBER}(us|ms|s|m|h))+")
_DURATION_PART = re.compile(rf"{_NUMBER}(us|ms|s|m|h)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(rf"{_NUMBER}(k?)/s")
_SIZE = re.compile(rf"{_NUMBER}(B|KiB|MiB)")
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024 * 1024}


def parse_duration(text: str) -> float:
    """`250ms`, `1.5s`, `1m30s` in seconds; ValueError says what is allowed."""
    if not _DURATION.fullmatch(text):
        raise ValueError("a duration is numbers with units: us, ms, s, m, h; for example 250ms or 1m30s")
    return round(sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text)), 9)


def parse_rate(text: str) -> float:
    """`400/s` or `2.5k/s` in events per second."""
    found = _RATE.fullmatch(text)
    if not found:
        raise ValueError("a rate is a number per second; for example 400/s or 2.5k/s")
    return float(found[1]) * (1000 if found[2] else 1)


def parse_size(text: str) -> int:
    """`128B`, `64KiB`, `1MiB` in bytes."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError("a size is a number with a unit: B, KiB, MiB; for example 64KiB")
    return int(float(found[1]) * _BYTES[found[2]])


def duration(seconds: float) -> str:
    """Seconds as short as people say it, to a millisecond from 1 s on: `350 us`, `2.5 ms`, `1 m 30.25 s`."""
    us = float(f"{seconds * 1e6:.4g}")
    if 0 < us < 1e3:
        return f"{us:g} us"
    if 0 < us < 1e6:
        return f"{us / 1e3:g} ms"
    minutes, ms = divmod(round(seconds * 1e3), 60_000)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "m")) if number]
    if ms or not parts:
        parts.append(f"{ms / 1e3:g} s")
    return " ".join(parts)


def rate(per_second: float) -> str:
    """`400/s`, `2.5/s`."""
    return f"{per_second:.0f}/s" if per_second >= 100 else f"{per_second:.3g}/s"


def size(number: int) -> str:
    """Bytes as people say it: `66 B`, `64 KiB`."""
    for unit, scale in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if number >= scale:
            return f"{number / scale:.4g} {unit}"
    return f"{number} B"
