"""Regular expressions that users write: RE2, matched in full, in linear time and bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Pattern: TypeAlias = Callable[[bytes], Any]
"""Says whether a text matches in full (truthy) or not (None)."""

MAX_MEM_BYTES = 1 << 20
"""Of one expression: its program and the states that matching makes. A larger program is refused."""
MAX_CHARS = 4096
"""Longest expression; Gateway API's own limit is that of a header's value."""


def compile_pattern(text: str) -> Pattern:
    """Raise ValueError for what is not RE2, or too large."""
    # A sidecar without regular expressions saves 2.6 MB.
    import re2  # noqa: PLC0415

    if len(text) > MAX_CHARS:
        raise ValueError(f"a regular expression of {len(text)} characters; {MAX_CHARS} are allowed")
    options = re2.Options()
    options.max_mem = MAX_MEM_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        pattern: Pattern = re2.compile(text.encode(), options).fullmatch
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"not a regular expression of RE2: {reason}") from None
    return pattern
