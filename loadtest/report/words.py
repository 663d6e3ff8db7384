"""Figures and outcomes as people read them; the same on the page, in tables and in the live line. Units always."""

from __future__ import annotations

from http import HTTPStatus
from math import floor

from loadtest.outcome import WORDS
from loadtest.scenario.units import duration

DASH = "\u2013"
"""A dash: where there is nothing to tell, and between least and most."""


def latency(us: float) -> str:
    """Microseconds in three significant digits: `420 us`, `2.35 ms`, `1.2 s`."""
    return duration(float(f"{us:.3g}") / 1e6)


def percent(value: float) -> str:
    """Two decimals, cut rather than rounded, so that 99.998 is not told as 100."""
    return f"{floor(value * 100 + 1e-6) / 100:.2f} %" if value < 100 else "100 %"


def count(number: float) -> str:
    """Thousands apart: `40 000`."""
    return f"{number:,.0f}".replace(",", " ")


def seconds(value: float) -> str:
    """A time of a run, to a millisecond: `6.5 s`, `1 m 30.25 s`."""
    value = round(value, 3)
    return f"{value:g} s" if value < 60 else duration(value)


def outcome(word: str) -> str:
    """`503 Service Unavailable` for a status, and outcome.WORDS for a word."""
    if not word.isdigit():
        return WORDS.get(word, word)
    try:
        return f"{word} {HTTPStatus(int(word)).phrase}"
    except ValueError:
        return word


def is_answer(word: str) -> bool:
    """Whether an outcome is a status of the classes that are no errors."""
    return word.isdigit() and word[0] in "123"


def printable(text: str) -> str:
    """Without what would move a terminal's cursor or change its colours."""
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)
