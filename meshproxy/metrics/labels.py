"""Label text of the Prometheus text format 0.0.4: `name="value",name="value"`, without the braces."""

from __future__ import annotations

from collections.abc import Sequence

OTHER = "other"
"""What a label says when its bound of distinct values is reached."""

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def escape(value: str) -> str:
    """Make a label value fit between its quotes: backslash, quote and line feed escaped, nothing else."""
    return value.translate(_ESCAPES)


def label_text(names: Sequence[str], values: Sequence[str]) -> str:
    """`a="x",b="y"`; empty without names. As many values as names, else ValueError."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in zip(names, values, strict=True))
