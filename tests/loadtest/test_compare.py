"""Several runs in turns: in which order, and what becomes of the rest when one cannot be made or all are stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from loadtest.compare import Chosen, Turn, compare, turns
from loadtest.report.live import Now
from loadtest.results.model import Comparison
from loadtest.scenario.load import parse

NOWHERE = "http://[::1]:80"
"""A subject that cannot be begun: only addresses of IPv4 are spoken to."""


def chosen(name: str, *subjects: str, lasts: str = "250ms") -> Chosen:
    text = f"name: {name}\nload: {{phases: [{{for: {lasts}, rate: 40/s}}]}}\n"
    return Chosen(text, parse(text), subjects)


class Shown:
    """What was shown and kept; `watch` sees every moment of every run."""

    def __init__(self, watch: Callable[[Now], None] = lambda _: None) -> None:
        self.turns: list[tuple[str, str, int, int, int]] = []
        self.kept: list[tuple[int, int, bool]] = []
        self._watch = watch

    @contextlib.contextmanager
    def show(self, turn: Turn) -> Iterator[Callable[[Now], None]]:
        trial = turn.trial
        self.turns.append((trial.scenario.name, trial.subject, trial.round, turn.number, turn.runs))
        yield self._watch

    def keep(self, comparison: Comparison) -> None:
        self.kept.append((len(comparison.results), len(comparison.failures), comparison.interrupted))


def test_subjects_alternate_within_a_scenario_and_scenarios_within_a_round() -> None:
    found = turns([chosen("a", "x", "y"), chosen("b", "z")], 2, pin=True)
    told = [(each.trial.scenario.name, each.trial.subject, each.trial.round, each.number, each.runs) for each in found]
    assert told == [
        ("a", "x", 1, 1, 6), ("a", "y", 1, 2, 6), ("b", "z", 1, 3, 6),
        ("a", "x", 2, 4, 6), ("a", "y", 2, 5, 6), ("b", "z", 2, 6, 6),
    ]  # fmt: skip


@given(st.lists(st.integers(0, 4), max_size=4), st.integers(1, 4), st.booleans())
def test_everything_has_its_turn_once_in_every_round(counts: list[int], rounds: int, pin: bool) -> None:
    what = [chosen(f"s{at}", *(f"x{number}" for number in range(count))) for at, count in enumerate(counts)]
    found = list(turns(what, rounds, pin=pin))
    keys = [(each.trial.scenario.name, each.trial.subject, each.trial.round) for each in found]
    assert len(set(keys)) == len(keys) == sum(counts) * rounds
    assert [each.number for each in found] == list(range(1, len(found) + 1))
    assert {(each.runs, each.trial.pin) for each in found} <= {(len(found), pin)}


async def test_a_run_that_cannot_be_made_is_told_and_the_others_are_made() -> None:
    shown = Shown()
    found = await compare(
        [chosen("a", NOWHERE, "direct")], 2, asyncio.Event(), shown.show, shown.keep, pin=False
    )  # fmt: skip
    assert [(each.subject, each.round, each.summary.counts) for each in found.results] == [
        ("direct", 1, {"200": 10}), ("direct", 2, {"200": 10}),
    ]  # fmt: skip
    assert [each.partition(": ")[0] for each in found.failures] == [
        f"a, {NOWHERE}, round 1", f"a, {NOWHERE}, round 2",
    ]  # fmt: skip
    assert all("IPv4" in failure for failure in found.failures)
    assert shown.kept == [(0, 1, False), (1, 1, False), (1, 2, False), (2, 2, False), (2, 2, False)]
    assert not found.interrupted


async def test_one_that_is_stopped_keeps_the_run_under_way_and_begins_no_other() -> None:
    stop = asyncio.Event()
    shown = Shown(lambda now: stop.set() if now.elapsed_s > 0.25 else None)
    found = await compare([chosen("a", "direct", lasts="1h")], 3, stop, shown.show, shown.keep, pin=False)
    assert [each.interrupted for each in found.results] == [True]
    assert found.results[0].summary.requests > 0
    assert found.interrupted
    assert len(shown.turns) == 1
    assert shown.kept[-1] == (1, 0, True)


async def test_one_that_is_stopped_before_it_begins_runs_nothing() -> None:
    stop = asyncio.Event()
    stop.set()
    shown = Shown()
    found = await compare([chosen("a", "direct")], 1, stop, shown.show, shown.keep, pin=False)
    assert (found.results, found.failures, found.interrupted) == ([], [], True)
    assert (shown.turns, shown.kept) == ([], [(0, 0, True)])


async def test_one_that_is_stopped_while_it_gets_ready_has_no_failure() -> None:
    stop = asyncio.Event()

    class Hasty(Shown):
        @contextlib.contextmanager
        def show(self, turn: Turn) -> Iterator[Callable[[Now], None]]:
            with super().show(turn) as watch:
                stop.set()
                yield watch

    shown = Hasty()
    found = await compare([chosen("a", "direct", NOWHERE)], 1, stop, shown.show, shown.keep, pin=False)
    assert (found.results, found.failures, found.interrupted) == ([], [], True)
    assert len(shown.turns) == 1
