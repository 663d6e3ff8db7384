from __future__ import annotations

import pytest

from loadtest.results.medians import Spread, rows
from loadtest.results.model import Ledger, Verdict
from tests.loadtest.results.made import comparison, result, rounds, usage

HELD = [Verdict("p99", "at most 1 s", "1 ms", holds=True)]
MISSED = [*HELD, Verdict("success", "at least 100 %", "99 %", holds=False)]


def test_rows_are_in_the_order_of_the_runs_whatever_the_rounds() -> None:
    runs = [("one-hangs", "direct", 1), ("one-hangs", "envoy", 1), ("flaps", "direct", 1), ("one-hangs", "direct", 2)]
    found = rows(comparison(*[result(subject, number, scenario) for scenario, subject, number in runs]))
    assert [(row.scenario, row.subject, row.rounds) for row in found] == [
        ("one-hangs", "direct", 2),
        ("one-hangs", "envoy", 1),
        ("flaps", "direct", 1),
    ]


@pytest.mark.parametrize(
    ("milliseconds", "spread"),
    [
        ((1.0,), Spread(1000, 1000, 1000)),
        ((1.0, 2.0), Spread(1500, 1000, 2000)),
        ((1.5, 1.0, 0.5), Spread(1000, 500, 1500)),
        ((2.0, 0.5, 1.0, 0.5), Spread(750, 500, 2000)),
    ],
)
def test_a_figure_is_the_median_of_its_rounds_and_their_range(milliseconds: tuple[float, ...], spread: Spread) -> None:
    (row,) = rows(comparison(*rounds(*milliseconds)))
    assert row.p50 == row.p99 == row.p99_9 == row.max == spread


def test_every_figure_is_told() -> None:
    known = Ledger(is_known=True, sent=200, lost=2, writes=50, writes_executed_twice=3, amplification=1.25)
    (row,) = rows(comparison(result(latencies={1000: 150}, failed=50, ledger=known, usage=usage(0.4, 64_000))))
    assert row.success_percent == Spread(75, 75, 75)
    assert row.lost == Spread(2, 2, 2)
    assert row.per_second == Spread(20, 20, 20)
    assert row.writes_executed_twice == Spread(3, 3, 3)
    assert row.amplification == Spread(1.25, 1.25, 1.25)
    assert row.cpu_us == Spread(2000, 2000, 2000)
    assert row.rss_bytes == Spread(64_000, 64_000, 64_000)


def test_what_nobody_measured_is_no_figure() -> None:
    (row,) = rows(comparison(result(latencies={}, failed=7, ledger=Ledger())))
    assert row.p50 is row.p99 is row.max is row.cpu_us is row.rss_bytes is None
    assert row.writes_executed_twice is row.lost is row.amplification is None
    assert row.success_percent == Spread(0, 0, 0)
    (row,) = rows(comparison(result(latencies={})))
    assert row.success_percent is None


def test_rounds_that_were_cut_short_or_went_wrong_are_told_and_not_counted() -> None:
    first, second, third = rounds(1.0, 9.0, 8.0)
    second.interrupted = True
    third.problems = ["envoy ended by itself", "nothing answered"]
    (row,) = rows(comparison(first, second, third))
    assert (row.rounds, row.p99) == (1, Spread(1000, 1000, 1000))
    assert row.excluded == ["round 2: interrupted", "round 3: envoy ended by itself; nothing answered"]


def test_a_row_without_a_sound_round_has_no_figures() -> None:
    (row,) = rows(comparison(result(interrupted=True)))
    assert (row.rounds, row.p99, row.per_second, row.holds) == (0, None, None, None)


def test_rounds_in_which_the_generator_was_the_limit_count_and_are_marked() -> None:
    first, second = rounds(1.0, 2.0)
    second.generator.limited = ["late"]
    (row,) = rows(comparison(first, second))
    assert (row.rounds, row.limited) == (2, ["round 2: late"])


@pytest.mark.parametrize(
    ("verdicts", "holds"),
    [
        ([[], []], None),
        ([HELD, HELD], True),
        ([HELD, MISSED], False),
    ],
)
def test_expectations_have_to_hold_in_every_round(verdicts: list[list[Verdict]], holds: bool | None) -> None:
    results = [result(round_=number, verdicts=each) for number, each in enumerate(verdicts, 1)]
    assert rows(comparison(*results))[0].holds is holds


def test_what_is_not_judged_neither_holds_nor_fails() -> None:
    assert rows(comparison(result(verdicts=MISSED, is_judged=False)))[0].holds is None


def test_a_problem_is_no_success_and_an_interruption_no_failure() -> None:
    broken = result(round_=2, verdicts=HELD, problems=["it ended"])
    cut = result(round_=2, verdicts=MISSED, interrupted=True)
    assert rows(comparison(result(verdicts=HELD), broken))[0].holds is False
    assert rows(comparison(result(verdicts=HELD), cut))[0].holds is True
