"""What a scenario comes to in figures: shares, rates, capacities."""

from __future__ import annotations

import math
from typing import NamedTuple

from loadtest.scenario.model import Origin, Phase, Scenario, ServiceTime

MOST_BINS = 600
_WIDTHS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


class Span(NamedTuple):
    """A phase and its time in the run."""

    phase: Phase
    number: int
    """From 1."""
    from_s: float
    to_s: float

    @property
    def peak(self) -> float:
        """Its highest rate; 0 in a closed loop."""
        return max(self.phase.rate or 0, self.phase.from_ or 0, self.phase.to or 0)

    @property
    def title(self) -> str:
        return f"phase {self.phase.name or self.number}"


def spans(scenario: Scenario) -> list[Span]:
    """Phases in order of time."""
    found = []
    begin = 0.0
    for number, phase in enumerate(scenario.load.phases, 1):
        end = round(begin + phase.for_, 9)  # or 0.1 + 0.2 would end after 0.3
        found.append(Span(phase, number, begin, end))
        begin = end
    return found


def share(scenario: Scenario, origin: str) -> float:
    """The part of the requests that an origin gets, from 0 to 1."""
    requests = scenario.load.requests
    mine = sum(each.weight for each in requests if (each.to or scenario.first_origin) == origin)
    return mine / sum(each.weight for each in requests)


def mean_s(work: ServiceTime) -> float:
    if work.uniform is not None:
        return sum(work.uniform) / 2
    return work.fixed if work.fixed is not None else work.exponential or 0.0


def longest_s(work: ServiceTime) -> float:
    """The most that is certain to happen: the mean of an exponential time, which has no most."""
    return work.uniform[1] if work.uniform is not None else mean_s(work)


def capacity(origin: Origin) -> float | None:
    """Requests per second of one instance; None: without limit."""
    if origin.concurrency is None or mean_s(origin.service_time) == 0:
        return None
    return origin.concurrency / mean_s(origin.service_time)


def held_s(scenario: Scenario, origin: str) -> float:
    """How long a request holds its connection on average when nothing is wrong: work, and slow reading."""
    mine = [each for each in scenario.load.requests if (each.to or scenario.first_origin) == origin]
    here = scenario.origins[origin]
    reading = sum(each.weight * here.body / each.read for each in mine if each.read)
    return mean_s(here.service_time) + (reading / sum(each.weight for each in mine) if mine else 0.0)


def bin_width(duration_s: float) -> float:
    """Seconds of each bin in which results are counted: a quarter, or as much more as at most 600 bins ask for."""
    for width_s in _WIDTHS_S:
        if duration_s / width_s <= MOST_BINS:
            return width_s
    hour_s = _WIDTHS_S[-1]
    return math.ceil(duration_s / MOST_BINS / hour_s) * hour_s
