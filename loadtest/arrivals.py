"""When requests are due: the intended starts of one worker's share of a load, by its phases alone.

Both kinds of arrivals follow the integral of the rate, N(t), which is how many are due until t: uniform ones are
where it passes 0, 1, 2, ..., Poisson ones where it passes the events of a Poisson process of rate 1 (change of time:
Cinlar, "Introduction to Stochastic Processes", chapter 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from math import log, sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

from loadtest.scenario.model import Phase

if TYPE_CHECKING:
    from random import Random


class Span(NamedTuple):
    """A part of the load, [begin_s, end_s), in which the rate is constant or linear. `phase` counts from 0."""

    phase: int
    begin_s: float
    end_s: float
    rate: float
    """At its beginning, per second."""
    slope: float
    """Change of the rate, per second and second."""
    before: float
    """N(begin_s): how many requests are due before it."""

    @property
    def after(self) -> float:
        """N(end_s), rounded: 0.1 + 0.2 is more than 0.3, and one more request would be due at the very end."""
        length_s = self.end_s - self.begin_s
        return round(self.before + length_s * (self.rate + self.slope * length_s / 2), 6)


def spans(phases: Sequence[Phase]) -> list[Span]:
    """The rate over time, for phases of an open loop. The steps of a ramp are equally long and include its ends."""
    found: list[Span] = []
    begin_s = before = 0.0
    for index, phase in enumerate(phases):
        end_s = begin_s + phase.for_
        for part_begin_s, part_end_s, rate, slope in _parts(phase, begin_s, end_s):
            found.append(Span(index, part_begin_s, part_end_s, rate, slope, before))
            before = found[-1].after
        begin_s = end_s
    return found


def _parts(phase: Phase, begin_s: float, end_s: float) -> Iterator[tuple[float, float, float, float]]:
    if phase.from_ is None or phase.to is None:
        assert phase.rate is not None, "a phase of a closed loop has no rate"
        yield begin_s, end_s, phase.rate, 0.0
    elif phase.steps is None:
        yield begin_s, end_s, phase.from_, (phase.to - phase.from_) / phase.for_
    else:
        rise = (phase.to - phase.from_) / (phase.steps - 1)
        edges = [begin_s + phase.for_ * step / phase.steps for step in range(phase.steps)] + [end_s]
        for step in range(phase.steps):
            yield edges[step], edges[step + 1], phase.from_ + rise * step, 0.0


def starts(
    phases: Sequence[Phase], arrivals: Literal["uniform", "poisson"], worker: int, workers: int, rng: Random
) -> Iterator[tuple[float, int]]:
    """The intended starts of share `worker` of `workers`, in order: (seconds since the run's start, phase).

    Uniform: every `workers`-th of the whole schedule, so that the shares make exactly the whole. Poisson: a stream of
    its own at that part of the rate, drawn from `rng`; independent streams add up to the whole.
    """
    marks: Iterator[float] = count(worker, workers) if arrivals == "uniform" else _events(workers, rng)
    return _moments(spans(phases), marks)


def _moments(load: Sequence[Span], marks: Iterator[float]) -> Iterator[tuple[float, int]]:
    """Where N(t) passes each of the marks."""
    mark = next(marks)
    for span in load:
        phase, begin_s, end_s, rate, slope, before = span
        after = span.after
        while mark < after:
            due = mark - before
            if slope:
                # The root of slope/2 t^2 + rate t = due that neither cancels nor divides by zero as slope nears 0.
                due_s = begin_s + 2 * due / (rate + sqrt(max(rate * rate + 2 * slope * due, 0.0)))
            else:
                due_s = begin_s + due / rate
            yield (due_s if due_s < end_s else end_s), phase  # noqa: FURB136 - min() takes longer than all else here
            mark = next(marks)


def _events(workers: int, rng: Random) -> Iterator[float]:
    """A Poisson process of rate 1 / workers."""
    draw = rng.random
    mark = 0.0
    while True:
        mark -= log(1.0 - draw()) * workers
        yield mark
