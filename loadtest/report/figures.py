"""Plots as plotly.js takes them: {"data": [...], "layout": {...}}, JSON types alone.

What plotly.js does not need stands in `layout.meta`, for the page: `legend` (entries with name, group, colour, dash,
fill) and `labels` of the background (marks.py). Colours of text and grid are the page's, which knows light from dark. A
builder gives None when there is nothing to draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any

from loadtest.report import colours, curves
from loadtest.report.colours import Line
from loadtest.report.curves import Curve
from loadtest.report.marks import background, marks, plain
from loadtest.report.words import latency, outcome
from loadtest.results.model import Result
from loadtest.results.spans import CONTROL_PLANE

Figure = dict[str, Any]
Trace = dict[str, Any]

MOST_INSTANCES = 12
"""More than so many instances are not drawn one by one."""
_TITLE_PX = 24
_BOTTOM_PX = 46
_LEFT_PX = 58
_TALL_PX, _LOW_PX = 210, 120


@dataclass(frozen=True)
class Panel:
    """One of several plots above each other, which share the axis of time."""

    title: str
    traces: list[Trace]
    y: dict[str, Any]


def latency_over_time(results: Sequence[Result], lines: Mapping[str, Line]) -> Figure | None:
    """p99 and p50 of successes by intended start; one result for each subject."""
    found = {each.subject: curves.latency_over_time(each, (50, 99)) for each in results}
    values = [y for pair in found.values() for curve in pair for y in curve.y if y is not None]
    if not values:
        return None
    panels = []
    for number, name in ((1, "p99"), (0, "p50")):
        own = [y for pair in found.values() for y in pair[number].y if y is not None]
        traces = [_line(subject, _in_ms(pair[number]), lines[subject], " ms") for subject, pair in found.items()]
        panels.append(Panel(f"<b>{name}</b> of successes", traces, log_axis(min(own), max(own))))
    return _stack(panels, results[0], [_entry(each.subject, lines[each.subject]) for each in results], 170)


def latency_by_percentile(results: Sequence[Result], lines: Mapping[str, Line]) -> Figure | None:
    """Latency of successes over the percentile, both logarithmic, as HdrHistogram's users are used to."""
    found = {each.subject: curves.latency_by_percentile(each) for each in results}
    values = [y for curve in found.values() for y in curve.y if y is not None]
    if not values:
        return None
    most = max(x for curve in found.values() for x in curve.x)
    ticks = [tick for tick in (2, *(10**power for power in range(1, 9))) if tick <= most * 1.001]
    x = {
        "type": "log", "range": [0, log10(most) * 1.02 + 0.02], "tickvals": ticks,
        "ticktext": [f"p{100 - 100 / tick:.9g}" for tick in ticks], "tickangle": 0,
        "title": {"text": "percentile", "standoff": 6},
    }  # fmt: skip
    traces = [_line(subject, _in_ms(curve), lines[subject], " ms") for subject, curve in found.items()]
    layout = {
        "height": 340,
        "margin": {"l": _LEFT_PX, "r": 12, "t": 10, "b": _BOTTOM_PX},
        "xaxis": x,
        "yaxis": log_axis(min(values), max(values)),
        "meta": {"legend": [_entry(each.subject, lines[each.subject]) for each in results], "labels": []},
    }
    return {"data": traces, "layout": _common(layout)}


def outcomes_over_time(results: Sequence[Result]) -> Figure | None:
    """What became of the requests of each moment, stacked, a panel for each subject, below the intended rate."""
    found = {each.subject: curves.outcomes_over_time(each) for each in results}
    styles = colours.outcomes(word for each in found.values() for word in each)
    if not styles:
        return None
    panels = []
    for result in results:
        own = found[result.subject]
        traces = [_area(outcome(word), own[word], line) for word, line in styles.items() if word in own]
        intended = curves.intended_rate(result)
        if intended.x:
            traces.append(_line(_INTENDED, intended, _INTENDED_LINE, "/s"))
        panels.append(Panel(f"<b>{plain(result.subject)}</b>  requests per second", traces, {}))
    _from_zero(panels)
    legend = [_entry(outcome(word), line, fill=True) for word, line in styles.items()]
    if any(curves.intended_rate(each).x for each in results):
        legend.append(_entry(_INTENDED, _INTENDED_LINE))
    return _stack(panels, results[0], legend)


def traffic_over_time(results: Sequence[Result]) -> Figure | None:
    """What each instance received, a panel for each subject."""
    chosen, others = _instances(results)
    if not chosen:
        return None
    styles = {f"{origin} {number}": colours.instance(at + 1) for at, (origin, number) in enumerate(chosen)}
    rest = f"{len(others)} others together"
    panels = []
    for result in results:
        by_key = {(each.origin, each.instance): each for each in result.endpoints}
        traces = [
            _line(name, curves.traffic_over_time(result, [by_key[key]]), line, "/s")
            for key, (name, line) in zip(chosen, styles.items(), strict=True) if key in by_key
        ]  # fmt: skip
        if others:
            together = curves.traffic_over_time(result, [by_key[key] for key in others if key in by_key])
            traces.append(_line(rest, together, _INTENDED_LINE, "/s"))
        panels.append(Panel(f"<b>{plain(result.subject)}</b>  requests received per second", traces, {}))
    _from_zero(panels)
    legend = [_entry(name, line) for name, line in styles.items()]
    legend += [_entry(rest, _INTENDED_LINE)] if others else []
    return _stack(panels, results[0], legend)


def log_axis(low_us: float, high_us: float) -> dict[str, Any]:
    """A logarithmic axis of milliseconds that holds both, labelled with units at round values."""
    low, high = max(low_us, 1) / 1.25, max(high_us, 1) * 1.25
    decades = range(floor(log10(low)), floor(log10(high)) + 1)
    for steps in _STEPS if high / low < _MANY else _DECADES:
        ticks = [tick for power in decades for step in steps if low <= (tick := step * 10**power) <= high]
        if len(ticks) >= 2:
            break
    return {
        "type": "log",
        "range": [log10(low / 1000), log10(high / 1000)],
        "tickvals": [tick / 1000 for tick in ticks],
        "ticktext": [latency(tick) for tick in ticks],
    }


_MANY = 3000
_DECADES = ((1,),)
_STEPS = (
    (1, 2, 5),
    (1, 1.5, 2, 3, 4, 5, 7),
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9),
)
"""From coarse to fine; of the last, two are within any axis, whose ends are at least 1.25 x 1.25 apart."""
_INTENDED = "intended rate"
_INTENDED_LINE = Line("#7F7F7F", "dash")


def _from_zero(panels: Sequence[Panel]) -> None:
    """The same linear axis for all, up to a little above what is highest."""
    most = max((sum(column) for panel in panels for column in _columns(panel.traces)), default=0.0)
    for panel in panels:
        panel.y.update(range=[0, most * 1.08 or 1], matches="y", nticks=5, tickformat=",~r")


def _columns(traces: Sequence[Trace]) -> Iterator[list[float]]:
    """Values that stand on each other; those of a line stand alone."""
    stacked = [trace["y"] for trace in traces if "stackgroup" in trace]
    yield from ([y or 0.0 for y in column] for column in zip(*stacked, strict=True))
    yield from ([y or 0.0] for trace in traces if "stackgroup" not in trace for y in trace["y"])


def _instances(results: Sequence[Result]) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Which (origin, instance) are drawn, and which together. Those that something happens to come first."""
    keys = sorted({(each.origin, each.instance) for result in results for each in result.endpoints})
    if len(keys) <= MOST_INSTANCES:
        return keys, []
    windows = {
        (each.origin, tuple(each.instances))
        for result in results
        for each in result.windows
        if each.kind != CONTROL_PLANE
    }

    def order(key: tuple[str, int]) -> int:
        mine = [numbers for origin, numbers in windows if origin in {"", key[0]}]
        if any(key[1] in numbers for numbers in mine):
            return 0
        return 1 if any(not numbers for numbers in mine) else 2

    first = sorted(keys, key=lambda key: (order(key), key))[: MOST_INSTANCES - 1]
    return sorted(first), sorted(set(keys) - set(first))


def _in_ms(curve: Curve) -> Curve:
    return Curve(curve.x, [None if y is None else max(y, 1) / 1000 for y in curve.y])


def _line(name: str, curve: Curve, line: Line, unit: str) -> Trace:
    return {
        "type": "scatter", "mode": "lines", "name": plain(name), "legendgroup": name, "x": curve.x, "y": curve.y,
        "line": {"color": line.colour, "dash": line.dash, "width": 1.8},
        "hovertemplate": "%{fullData.name}: %{y:.3~r}" + unit + "<extra></extra>",
    }  # fmt: skip


def _area(name: str, curve: Curve, line: Line) -> Trace:
    return {
        "type": "scatter", "mode": "lines", "name": plain(name), "legendgroup": name, "x": curve.x, "y": curve.y,
        "stackgroup": "outcomes", "fillcolor": line.colour,
        "line": {"color": line.colour, "width": 0, "shape": "hv"},
        "hovertemplate": "%{fullData.name}: %{y:.3~r}/s<extra></extra>",
    }  # fmt: skip


def _entry(name: str, line: Line, *, fill: bool = False) -> dict[str, Any]:
    return {"name": name, "group": name, "colour": line.colour, "dash": line.dash, "fill": fill}


def _stack(panels: Sequence[Panel], frame: Result, legend: list[dict[str, Any]], panel_px: int = 0) -> Figure:
    """Panels above each other over the time of `frame`, with what happened in it behind them."""
    panel_px = panel_px or (_TALL_PX if len(panels) == 1 else _LOW_PX)
    inner_px = len(panels) * (panel_px + _TITLE_PX)
    behind, above = background(marks(frame.windows), frame.phases, frame.duration_s, inner_px)
    layout: dict[str, Any] = {
        "height": inner_px + above + _BOTTOM_PX,
        "margin": {"l": _LEFT_PX, "r": 12, "t": above, "b": _BOTTOM_PX},
        "xaxis": {
            "range": [0, frame.duration_s], "anchor": f"y{len(panels)}" if len(panels) > 1 else "y",
            "title": {"text": "seconds since the start", "standoff": 6}, "hoverformat": ".3~r", "unifiedhovertitle":
            {"text": "at %{x} s"},
        },
        "hovermode": "x unified",
        "shapes": behind["shapes"],
        "annotations": behind["annotations"],
        "meta": {**behind["meta"], "legend": legend},
    }  # fmt: skip
    data = []
    for number, panel in enumerate(panels):
        suffix = str(number + 1) if number else ""
        top = inner_px - number * (panel_px + _TITLE_PX) - _TITLE_PX
        axis = {**panel.y, "domain": [(top - panel_px) / inner_px, top / inner_px], "anchor": "x"}
        if not number:
            axis.pop("matches", None)
        layout["yaxis" + suffix] = axis
        layout["annotations"].append(_panel_title(panel.title, top / inner_px))
        data += [{**trace, "yaxis": "y" + suffix} for trace in panel.traces]
    return {"data": data, "layout": _common(layout)}


def _panel_title(text: str, y: float) -> dict[str, Any]:
    return {"text": text, "x": 0, "y": y, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom",
            "showarrow": False, "font": {"size": 12.5}}  # fmt: skip


def _common(layout: dict[str, Any]) -> dict[str, Any]:
    return {"showlegend": False, "hovermode": "closest", "dragmode": "zoom", "separators": ". ", **layout}
