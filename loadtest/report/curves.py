"""Curves from a result's bins: what is drawn, before how it is drawn. At most POINTS points each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

from loadtest import arrivals
from loadtest.results.histogram import Histogram
from loadtest.results.model import Endpoint, PhaseSpan, Result
from loadtest.scenario.model import Phase

POINTS = 300
STEPS_PER_DECADE = 40


@dataclass(frozen=True)
class Curve:
    x: list[float]
    y: list[float | None]


@dataclass(frozen=True)
class Grid:
    """The points of time of a result's curves: every `width_s`, whole bins together when there are too many."""

    width_s: float
    points: int
    duration_s: float

    def centres(self) -> list[float]:
        return [round((begin + end) / 2, 4) for begin, end in pairwise(self.edges())]

    def edges(self) -> list[float]:
        """Where points begin, and where the last one ends."""
        return [round(number * self.width_s, 4) for number in range(self.points)] + [self.duration_s]

    def index(self, from_s: float) -> int:
        return min(int(from_s / self.width_s + 1e-6), self.points - 1)

    def per_second(self, sums: Sequence[float]) -> list[float | None]:
        """Sums of each point as rates; the last point may be shorter than the others."""
        widths = [self.width_s] * (self.points - 1) + [self.duration_s - (self.points - 1) * self.width_s]
        return [float(f"{each / width:.4g}") for each, width in zip(sums, widths, strict=True)]


def grid(result: Result) -> Grid:
    bins = max(1, ceil(result.duration_s / result.bin_s - 1e-6))
    together = ceil(bins / POINTS)
    return Grid(result.bin_s * together, ceil(bins / together), result.duration_s)


def latency_over_time(result: Result, percentiles: Sequence[float]) -> list[Curve]:
    """A curve of microseconds for each percentile (ascending), of successes; None where there was no success."""
    over = grid(result)
    texts: list[list[str]] = [[] for _ in range(over.points)]
    for each in result.bins:
        if each.ok:
            texts[over.index(each.from_s)].append(each.ok)
    merged = [_merge(each) for each in texts]
    found = [each.at(percentiles) if each.count else [None] * len(percentiles) for each in merged]
    return [Curve(over.centres(), [each[number] for each in found]) for number in range(len(percentiles))]


def latency_by_percentile(result: Result) -> Curve:
    """Of successes in measured phases: y microseconds, x = 1 / (1 - quantile), so 10 is p90 and 1000 is p99.9.

    Ends with the slowest one, where x is how many there are.
    """
    merged = _merge(each.ok for each in result.bins if each.ok and result.phases[each.phase].measured)
    total = merged.count
    if not total:
        return Curve([], [])
    x = [10 ** (step / STEPS_PER_DECADE) for step in range(POINTS - 1)]
    x = [round(at, 4) for at in x if at < total] + [float(total)]
    return Curve(x, list(merged.at([*(max(100 - 100 / at, 1e-9) for at in x[:-1]), 100.0])))


def outcomes_over_time(result: Result) -> dict[str, Curve]:
    """Requests per second by outcome, as steps: a value holds from its x, a bin's beginning, to the next one."""
    over = grid(result)
    sums: dict[str, list[float]] = {}
    for each in result.bins:
        for word, number in each.counts.items():
            sums.setdefault(word, [0] * over.points)[over.index(each.from_s)] += number
    found = {word: over.per_second(each) for word, each in sums.items()}
    return {word: Curve(over.edges(), [*each, each[-1]]) for word, each in found.items()}


def traffic_over_time(result: Result, endpoints: Iterable[Endpoint]) -> Curve:
    """Requests per second that these instances received, together."""
    over = grid(result)
    sums: list[float] = [0] * over.points
    for endpoint in endpoints:
        for each in endpoint.bins:
            if each.from_s < result.duration_s:
                sums[over.index(each.from_s)] += each.received
    # What is received after the last request was due, because it was repeated, is in the whole of the last bin.
    return Curve(over.centres(), [float(f"{each / over.width_s:.4g}") for each in sums])


def intended_rate(result: Result) -> Curve:
    """Requests per second that the phases ask for; empty in a closed loop."""
    if not any(each.rate_from or each.rate_to for each in result.phases):
        return Curve([], [])
    corners = [corner for each in result.phases for corner in _corners(each)]
    return Curve([at for at, _ in corners], [at for _, at in corners])


def _corners(phase: PhaseSpan) -> Iterator[tuple[float, float]]:
    """Where the rate begins and ends to be constant or linear."""
    if not phase.steps:
        yield from ((phase.from_s, phase.rate_from), (phase.to_s, phase.rate_to))
        return
    lasts_s = phase.to_s - phase.from_s
    sent: dict[str, Any] = {"for": lasts_s, "from": phase.rate_from, "to": phase.rate_to, "steps": phase.steps}
    for span in arrivals.spans([Phase.model_construct(**sent)]):
        yield from ((round(phase.from_s + at_s, 9), span.rate) for at_s in (span.begin_s, span.end_s))


def _merge(texts: Iterable[str]) -> Histogram:
    merged = Histogram()
    for text in texts:
        merged.add(Histogram.decode(text))
    return merged
