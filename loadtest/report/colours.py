"""Which colour means what, on every plot of every page.

Hues of Okabe and Ito, which colour-blind people can tell apart ("Color Universal Design", 2008), and of Paul Tol where
eight are too few.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from loadtest.report.words import is_answer

BLUE, SKY, GREEN, VERMILION = "#0072B2", "#56B4E9", "#009E73", "#D55E00"
ORANGE, PURPLE, YELLOW, GREY = "#E69F00", "#CC79A7", "#DDCC3C", "#7F7F7F"
WINE, TEAL, OLIVE, INDIGO, BROWN = "#AA4466", "#44AA99", "#999933", "#6A5ACD", "#8B5A2B"

FAMILIES = {
    "direct": (GREY,),
    "meshproxy": (BLUE, SKY),
    "envoy": (VERMILION, ORANGE),
    "haproxy": (GREEN, TEAL),
}
"""By the beginning of a subject's name: its colour, and those of its variants."""
OTHERS = (PURPLE, OLIVE, INDIGO, WINE)
DASHES = ("solid", "dash", "dot", "dashdot")

ANSWERED = ("rgba(110,155,187,0.6)", "rgba(105,150,137,0.6)", "rgba(140,134,178,0.6)")
"""Pale on light and on dark, so that what went wrong stands out."""
OUTCOMES = {
    "503": VERMILION,
    "timeout": PURPLE,
    "reset": BLUE,
    "closed": GREEN,
    "refused": SKY,
    "connect_timeout": WINE,
    "unsent": INDIGO,
    "no_socket": BROWN,
    "truncated": TEAL,
    "bad_response": OLIVE,
    "abandoned": GREY,
}
STATUSES = (ORANGE, YELLOW, "#B07A3A", "#E8B7A0")
INSTANCES = (VERMILION, BLUE, GREEN, ORANGE, SKY, PURPLE, OLIVE, INDIGO)


@dataclass(frozen=True)
class Line:
    """How a curve is drawn."""

    colour: str
    dash: str = "solid"


def subjects(names: Iterable[str]) -> dict[str, Line]:
    """A line for each name; those of one family share hues, and a name has the same line on all plots of a page."""
    found: dict[str, Line] = {}
    seen: dict[str, int] = {}
    for name in dict.fromkeys(names):
        family = next((each for each in FAMILIES if name == each or name.startswith((each + "-", each + " "))), "")
        hues = FAMILIES.get(family, OTHERS)
        number = seen[family] = seen.get(family, -1) + 1
        found[name] = Line(hues[number % len(hues)], DASHES[number // len(hues) % len(DASHES)])
    return found


def outcomes(words: Iterable[str]) -> dict[str, Line]:
    """A line for each outcome, answers first, then what went wrong."""
    found: dict[str, Line] = {}
    answers = statuses = 0
    for word in sorted(set(words), key=lambda word: (not is_answer(word), not word.isdigit(), word)):
        if is_answer(word):
            found[word] = Line(ANSWERED[answers % len(ANSWERED)])
            answers += 1
        elif word in OUTCOMES:
            found[word] = Line(OUTCOMES[word])
        else:
            found[word] = Line(STATUSES[statuses % len(STATUSES)])
            statuses += 1
    return found


def instance(number: int) -> Line:
    """For the instance with this number, from 1."""
    return Line(INSTANCES[(number - 1) % len(INSTANCES)], DASHES[(number - 1) // len(INSTANCES) % len(DASHES)])
