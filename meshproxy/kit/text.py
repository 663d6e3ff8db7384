"""Text from outside, made fit for a terminal or a log."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text on one line, with a question mark for whatever a terminal would act on."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
