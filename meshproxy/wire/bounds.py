"""The ranges that numbers and words of resources keep to; each function notes what lies outside."""

from __future__ import annotations

from itertools import pairwise
from math import isfinite

from meshproxy.wire.names import is_port

PROTOCOLS = ("http", "http2", "grpc", "tcp")
MAX_WEIGHT = 1_000_000
"""The greatest weight of a backend (Gateway API HTTPBackendRef) or an endpoint."""
MAX_COUNT = 1_000_000_000
MAX_DURATION_S = 99_999 * 3600.0
"""The longest duration that Gateway API can write (GEP-2257: five digits of hours)."""
MAX_RETRIES = 100
MAX_TEXT_CHARS = 4096

Found = list[tuple[str, str]]
"""Problems of one resource, as (path, message)."""


def check_port(found: Found, path: str, port: int) -> None:
    if not is_port(port):
        found.append((path, f"{port} is no port; allowed: 1 to 65535"))


def check_protocol(found: Found, path: str, protocol: str) -> None:
    if protocol not in PROTOCOLS:
        found.append((path, f"unknown protocol {protocol[:64]!r}; allowed: {', '.join(PROTOCOLS)}"))


def check_rising(found: Found, path: str, keys: list[int] | list[str] | list[tuple[int, int, int]], by: str) -> None:
    """Note keys that are out of order or stand twice."""
    if any(not a < b for a, b in pairwise(keys)):  # type: ignore[operator]
        found.append((path, f"must be sorted by {by}, each once"))


def check_duration(found: Found, path: str, value: float) -> None:
    """Note a duration that is not finite, negative, or longer than Gateway API can write."""
    check_range(found, path, value, 0, MAX_DURATION_S)


def check_range(found: Found, path: str, value: float, low: int, high: float) -> None:
    """Note a number outside `low` to `high`; what is not finite is outside."""
    if not (isfinite(value) and low <= value <= high):
        found.append((path, f"{value} is out of range; allowed: {low} to {high:.0f}"))


def check_text(found: Found, path: str, text: str) -> None:
    """Note text that is empty, too long, or not printable (it goes into logs, metrics and header fields)."""
    if not text:
        found.append((path, "must not be empty"))
    elif len(text) > MAX_TEXT_CHARS:
        found.append((path, f"has {len(text)} characters; allowed: at most {MAX_TEXT_CHARS}"))
    elif not text.isprintable():
        found.append((path, "holds characters that cannot be printed"))
