"""Several scenarios against several subjects, in turns, some rounds long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import NamedTuple

from loadtest.report.live import Now
from loadtest.results.model import SCHEMA, Comparison
from loadtest.run import RunError, run
from loadtest.scenario.model import Scenario
from loadtest.stage.record import Trial


class Chosen(NamedTuple):
    """A scenario, the text of its file, and the subjects that it is run against."""

    text: str
    scenario: Scenario
    subjects: Sequence[str]


class Turn(NamedTuple):
    """One of all `runs`: the `number`th."""

    trial: Trial
    number: int
    runs: int


Show = Callable[[Turn], AbstractContextManager[Callable[[Now], None]]]
"""Shows a run while it goes on."""


def turns(chosen: Sequence[Chosen], rounds: int, *, pin: bool) -> Iterator[Turn]:
    """Subjects alternate within a scenario, scenarios within a round: what drifts on a machine meets all alike."""
    count = rounds * sum(len(each.subjects) for each in chosen)
    number = 0
    for round_ in range(1, rounds + 1):
        for text, scenario, subjects in chosen:
            for subject in subjects:
                number += 1
                yield Turn(Trial(text, scenario, subject, round_, pin), number, count)


async def compare(
    chosen: Sequence[Chosen],
    rounds: int,
    stop: asyncio.Event,
    show: Show,
    keep: Callable[[Comparison], None],
    *,
    pin: bool,
) -> Comparison:
    """Runs all, one after another; `keep` gets what there is after each. Runs that cannot be made are `failures`."""
    found = Comparison(SCHEMA, datetime.now(UTC).isoformat(timespec="seconds"), [])
    for turn in turns(chosen, rounds, pin=pin):
        if stop.is_set():
            break
        trial = turn.trial
        try:
            with show(turn) as watch:
                found.results.append(await run(trial, stop, watch))
        except RunError as error:
            if stop.is_set():
                break
            found.failures.append(f"{trial.scenario.name}, {trial.subject}, round {trial.round}: {error}")
        keep(found)
    found.interrupted = stop.is_set()
    keep(found)
    return found
