"""JSON text to values: strictly as RFC 8259 has it, and without what parsers disagree on."""

from __future__ import annotations

import json
from math import isinf
from typing import Any


class JSONError(ValueError):
    """Text that is not taken; the message says why."""


def read_json(text: str | bytes) -> Any:
    """Return the value. Raise JSONError for what is no JSON, for a key that stands twice, NaN and infinity."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise JSONError("nested too deeply") from None
    except ValueError as error:
        raise JSONError(f"not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)[:80]!r} stands twice")
    return result


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"{text[:80]} is too great for a number")
    return number


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")
