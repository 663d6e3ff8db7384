"""A later comparison against an earlier one: what is worse or better beyond chance, and what cannot be compared.

A measure differs when its medians are further apart than the tolerance and the rounds of both sides do not overlap.
With one round on each side the tolerance alone decides. The slowest request is left out: it is one request's luck.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from loadtest.results.medians import Row, Spread, rows
from loadtest.results.model import Comparison, Result

SUCCESS_POINTS = 0.1
"""Success differs from here on, in percentage points: a tolerance meant for latencies would let most failures pass."""

Kind = Literal["worse", "better", "only_old", "only_new", "incomparable", "warning"]


class Measure(NamedTuple):
    """`field` of a Row. `unit` is of the figures, `us` being microseconds.

    `is_timing`: a generator that was the limit has its part in it. `is_grave`: what must not happen at all, of which
    the worst round counts.
    """

    field: str
    name: str
    unit: Literal["%", "us", "/s", "", "B"]
    more_is_better: bool = False
    is_timing: bool = False
    is_grave: bool = False


MEASURES = (
    Measure("success_percent", "success", "%", more_is_better=True),
    Measure("p50", "p50", "us", is_timing=True),
    Measure("p99", "p99", "us", is_timing=True),
    Measure("p99_9", "p99.9", "us", is_timing=True),
    Measure("per_second", "rate", "/s", more_is_better=True, is_timing=True),
    Measure("writes_executed_twice", "writes executed twice", "", is_grave=True),
    Measure("lost", "lost successes", "", is_grave=True),
    Measure("amplification", "amplification", ""),
    Measure("cpu_us", "CPU per request", "us"),
    Measure("rss_bytes", "memory", "B"),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """Something to tell about a scenario and a subject; without a subject about the scenario, without either about all.

    `worse` and `better` have a measure with its medians, and `change` for people; others say in `text` what is to know.
    """

    kind: Kind
    scenario: str = ""
    subject: str = ""
    measure: Measure | None = None
    old: Spread | None = None
    new: Spread | None = None
    change: str = ""
    text: str = ""

    @property
    def is_worse(self) -> bool:
        return self.kind == "worse"


def diff(old: Comparison, new: Comparison, tolerance_percent: float) -> list[Difference]:
    """Warnings first, then scenario by scenario and subject by subject in the order of the earlier comparison."""
    before = {(row.scenario, row.subject): row for row in rows(old)}
    after = {(row.scenario, row.subject): row for row in rows(new)}
    found = [*_machines(old, new), *_texts(old, new)]
    known = set(old.failures)
    found.extend(Difference("worse", text=f"could not be run: {told}") for told in new.failures if told not in known)
    for key, row in before.items():
        if key in after:
            found.extend(_broken(row, after[key]))
            found.extend(_rows(row, after[key], tolerance_percent))
        else:
            found.append(Difference("only_old", *key, text="not in the later results"))
    found.extend(Difference("only_new", *key, text="not in the earlier results") for key in after if key not in before)
    return found


def _broken(old: Row, new: Row) -> Iterator[Difference]:
    """Runs of the later results that broke or were cut short: worse where none of the earlier ones broke."""
    is_worse = new.is_broken and not old.is_broken
    if new.excluded and new.rounds:
        text = f"not everything counts in the later results: {'; '.join(new.excluded)}"
        yield Difference("worse" if is_worse else "warning", new.scenario, new.subject, text=text)
    elif is_worse:
        yield Difference("worse", new.scenario, new.subject, text="the later runs broke")


def _rows(old: Row, new: Row, tolerance_percent: float) -> Iterator[Difference]:
    if old.holds and new.holds is False:
        yield Difference("worse", old.scenario, old.subject, text="expectations that held hold no longer")
    elif old.holds is False and new.holds:
        yield Difference("better", old.scenario, old.subject, text="expectations that did not hold do now")
    if reasons := [*_empty(old, "earlier"), *_empty(new, "later")]:
        yield Difference("incomparable", old.scenario, old.subject, text="; ".join(reasons))
        return
    limited = [*_limited(old, "earlier"), *_limited(new, "later")]
    if limited:
        text = f"times and rate are not compared: {'; '.join(limited)}"
        yield Difference("incomparable", old.scenario, old.subject, text=text)
    for measure in MEASURES:
        if measure.is_timing and limited:
            continue
        first, second = _figure(measure, old), _figure(measure, new)
        if first is None or second is None:
            if first is not None or second is not None:
                side = "earlier" if first is None else "later"
                text = f"{measure.name}: no figure in the {side} results"
                yield Difference("incomparable", old.scenario, old.subject, measure, first, second, text=text)
        elif _differs(measure, first, second, tolerance_percent):
            kind: Kind = "better" if (second.median > first.median) == measure.more_is_better else "worse"
            change = _change(measure, first, second)
            yield Difference(kind, old.scenario, old.subject, measure, first, second, change)


def _figure(measure: Measure, row: Row) -> Spread | None:
    found: Spread | None = getattr(row, measure.field)
    return Spread(found.most, found.most, found.most) if found is not None and measure.is_grave else found


def _empty(row: Row, side: str) -> Iterator[str]:
    if not row.rounds:
        yield f"no complete round in the {side} results: {'; '.join(row.excluded)}"


def _limited(row: Row, side: str) -> Iterator[str]:
    if row.limited:
        yield f"the generator was the limit in the {side} results: {'; '.join(row.limited)}"


def _differs(measure: Measure, old: Spread, new: Spread, tolerance_percent: float) -> bool:
    if old.least <= new.most and new.least <= old.most:
        return False
    apart = abs(new.median - old.median)
    if measure.unit == "%":
        return apart + 1e-9 >= SUCCESS_POINTS  # 100 - 99.9 is a little less
    return apart > old.median * tolerance_percent / 100


def _change(measure: Measure, old: Spread, new: Spread) -> str:
    """`+12 %`; of what is in percent already, in points; from zero there is no percentage."""
    apart = new.median - old.median
    if measure.unit == "%":
        return f"{apart:+.2f} points"
    if not old.median:
        return f"{apart:+g}"
    percent = 100 * apart / old.median
    return f"{percent:+.0f} %" if math.fabs(percent) >= 10 else f"{percent:+.1f} %"


def _texts(old: Comparison, new: Comparison) -> Iterator[Difference]:
    """Scenarios of the same name that are not the same."""
    before, after = _by_scenario(old), _by_scenario(new)
    for scenario in before:
        if scenario in after and before[scenario] != after[scenario]:
            yield Difference("warning", scenario, text="the scenario's file is not the same")


def _by_scenario(comparison: Comparison) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for result in comparison.results:
        found.setdefault(result.scenario, set()).add(result.text)
    return found


def _machines(old: Comparison, new: Comparison) -> Iterator[Difference]:
    """Cores and versions, wherever both sides have them."""
    before, after = _machine(old), _machine(new)
    for what in before:
        if what in after and before[what] != after[what]:
            text = f"{what}: {' and '.join(sorted(before[what]))} earlier, {' and '.join(sorted(after[what]))} later"
            yield Difference("warning", text=text)


def _machine(comparison: Comparison) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for result in comparison.results:
        for what, value in _properties(result):
            found.setdefault(what, set()).add(value)
    return found


def _properties(result: Result) -> Iterator[tuple[str, str]]:
    yield "cores", str(result.cores)
    yield from result.versions.items()
