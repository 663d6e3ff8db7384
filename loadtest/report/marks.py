"""The background of plots over time: which faults and changes held when, shaded and lettered, and the load's phases.

A letter stands for one thing that happened, however often; the page says beside the plots what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.results.model import PhaseSpan, Window
from loadtest.results.spans import sentence

SHADES = ("213,94,0", "0,114,178", "204,121,167", "0,158,115")
MOST_SPANS = 60
"""More than so many spans of one thing are shaded as one."""
MOST_LANES = 6
LETTER_WIDTH = 0.05
"""What a letter takes of the plot's width, on a narrow screen."""
LANE_PX = 18


@dataclass(frozen=True)
class Mark:
    """One thing that happened, once or repeatedly; `what` is a sentence."""

    letter: str
    what: str
    spans: list[tuple[float, float]]
    shade: str


def marks(windows: Sequence[Window]) -> list[Mark]:
    """Windows of the same thing together, in the order in which they first held."""
    together: dict[str, list[tuple[float, float]]] = {}
    for each in sorted(windows, key=lambda window: window.from_s):
        together.setdefault(sentence(each), []).append((each.from_s, each.to_s))
    return [
        Mark(_letter(number), what, spans, SHADES[number % len(SHADES)])
        for number, (what, spans) in enumerate(together.items())
    ]


def _letter(number: int) -> str:
    return chr(ord("A") + number % 26) + (str(number // 26) if number >= 26 else "")


def background(
    found: Sequence[Mark], phases: Sequence[PhaseSpan], duration_s: float, inner_px: int
) -> tuple[dict[str, Any], int]:
    """`shapes`, `annotations` and `meta.labels` of a layout whose plots are `inner_px` high; the pixels it needs above.

    Phases are named above the plots, and above that every mark has a bar in a lane. A label has `from` and `to` (how
    far it may reach) and `texts`: the first that has room is shown instead of the annotation's own.
    """
    named = list(phases) if len(phases) > 1 else []
    first = 1 if named else 0
    lanes = _lanes(found, duration_s)
    shapes, annotations, labels = [], [], []
    for each in named:
        if each.from_s > 0:
            shapes.append(_boundary(each.from_s, 1 + LANE_PX / inner_px))
        annotations.append(_note(each.from_s, 0, ""))
        texts = [f"<i>{plain(text)}</i>" for text in (phase_name(each), each.name)]
        labels.append({"from": each.from_s, "to": each.to_s, "texts": texts})
    for mark in found:
        shapes += [_rectangle(mark, span, 0, 1, 0.13) for span in _shaded(mark, duration_s)]
    for lane, marked in enumerate(lanes, first):
        bottom, top = (1 + (LANE_PX * at + 1) / inner_px for at in (lane, lane + 0.9))
        ends = [mark.spans[0][0] for mark in marked[1:]] + [duration_s]
        for mark, end in zip(marked, ends, strict=True):
            shapes += [_rectangle(mark, span, bottom, top, 0.3) for span in _shaded(mark, duration_s)]
            annotations.append(_note(mark.spans[0][0], lane, f"<b>{mark.letter}</b>"))
            labels.append({"from": mark.spans[0][0], "to": end, "texts": [f"<b>{mark.letter}</b> {plain(mark.what)}"]})
    above = LANE_PX * (first + len(lanes)) + 6
    return {"shapes": shapes, "annotations": annotations, "meta": {"labels": labels}}, above


def plain(text: str) -> str:
    """Text that plotly.js shows as it is: it reads a little HTML in every text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def phase_name(phase: PhaseSpan) -> str:
    return phase.name + ("" if phase.measured else " (not measured)")


def _shaded(mark: Mark, duration_s: float) -> list[tuple[float, float]]:
    spans = mark.spans
    if len(spans) > MOST_SPANS:
        spans = [(spans[0][0], max(end for _, end in spans))]
    return [(begin, min(end, duration_s)) for begin, end in spans]


def _lanes(found: Sequence[Mark], duration_s: float) -> list[list[Mark]]:
    """Marks side by side where they do not touch; those for which there is no lane are left out."""
    lanes: list[list[Mark]] = []
    ends: list[float] = []
    for mark in sorted(found, key=lambda mark: mark.spans[0]):
        begin = mark.spans[0][0]
        lane = next((number for number, end in enumerate(ends) if end <= begin), len(ends))
        if lane == MOST_LANES:
            continue
        if lane == len(ends):
            lanes.append([])
            ends.append(0.0)
        lanes[lane].append(mark)
        ends[lane] = max(begin + LETTER_WIDTH * duration_s, *(end for _, end in mark.spans))
    return lanes


def _rectangle(mark: Mark, span: tuple[float, float], bottom: float, top: float, strength: float) -> dict[str, Any]:
    begin, end = span
    line = {"width": 1.5 if begin == end else 0, "color": f"rgb({mark.shade})"}
    return {
        "type": "rect", "xref": "x", "yref": "paper", "x0": begin, "x1": end, "y0": bottom, "y1": top, "layer": "below",
        "fillcolor": f"rgba({mark.shade},{strength})", "line": line, "name": "window" if bottom == 0 else "bar",
    }  # fmt: skip


def _boundary(at: float, top: float) -> dict[str, Any]:
    line = {"width": 1, "dash": "dot", "color": "rgba(128,128,128,0.9)"}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": top, "line": line,
            "name": "phase"}  # fmt: skip


def _note(at: float, lane: int, text: str) -> dict[str, Any]:
    return {
        "x": at, "y": 1, "xref": "x", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "align": "left",
        "yshift": lane * LANE_PX, "xshift": 1, "height": LANE_PX - 2, "borderpad": 0,
        "text": text, "showarrow": False, "font": {"size": 12},
    }  # fmt: skip
