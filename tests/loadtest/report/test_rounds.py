from __future__ import annotations

import msgspec
import pytest

from loadtest.report import rounds, sheets
from loadtest.results import medians
from loadtest.results.model import SCHEMA, Comparison, Verdict
from tests.loadtest.report.sample import PLANS, result

BASE = result(PLANS[0], "envoy")


def run(number, success=99.0, p99=1000, verdicts=(), **changes):
    latency = msgspec.structs.replace(BASE.summary.latency, p99=p99)
    summary = msgspec.structs.replace(BASE.summary, success_percent=success, latency=latency)
    return msgspec.structs.replace(BASE, round=number, summary=summary, verdicts=list(verdicts), **changes)


def verdict(holds, what="success", expected="at least 99 %"):
    return Verdict(what, expected, "98 %", holds)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([run(1)], 1),
        ([run(1, 99), run(2, 97), run(3, 98)], 3),
        ([run(1, 99, 500), run(2, 99, 900), run(3, 99, 700)], 3),
        ([run(1, 99), run(2, 97)], 2),
        ([run(1, 50, interrupted=True), run(2, 97), run(3, 40, problems=["died"])], 2),
        ([run(1, 50, interrupted=True)], 1),
    ],
)
def test_the_middle_round_is_drawn_of_two_the_worse_and_no_broken_one_without_need(runs, expected):
    assert rounds.drawn(runs).round == expected


def test_figures_of_an_interrupted_run_are_shown_when_there_are_no_others():
    assert rounds.row([run(1, 50, interrupted=True)]).success_percent.median == 50
    assert rounds.row([run(1, 50, interrupted=True), run(2, 90)]).success_percent.median == 90


def test_an_expectation_holds_when_it_holds_in_every_round_that_was_not_interrupted():
    runs = [run(1, verdicts=[verdict(True)]), run(2, verdicts=[verdict(False)])]
    assert [each.holds for each in rounds.judgements(runs)] == [False]
    runs = [run(1, verdicts=[verdict(True)]), run(2, verdicts=[verdict(False)], interrupted=True)]
    assert [each.holds for each in rounds.judgements(runs)] == [True]


@pytest.mark.parametrize(
    ("holding", "judged", "text"),
    [
        ([], True, "Nothing was expected of these runs, so nothing is judged."),
        ([False], False, "Nothing is judged: what the scenarios expect is for other subjects."),
        ([True], True, "The one expectation holds."),
        ([True] * 3, True, "All 3 expectations hold."),
        (
            [True, False, False],
            True,
            "1 of 3 expectations hold; envoy misses measure 1 in one-hangs and measure 2 in one-hangs.",
        ),
        ([False] * 5, True, "0 of 5 expectations hold; envoy misses 5 of 5."),
    ],
)
def test_the_verdict_is_a_sentence(holding, judged, text):
    verdicts = [verdict(holds, f"measure {number}") for number, holds in enumerate(holding)]
    found = Comparison(SCHEMA, "", [run(1, verdicts=verdicts, is_judged=judged)])
    assert rounds.verdict(found) == text


def test_the_verdict_says_that_runs_broke():
    held = [run(1, verdicts=[verdict(True)], problems=["envoy ended by itself"])]
    found = Comparison(SCHEMA, "", held, ["flapping, envoy, round 1: there is no program envoy"])
    assert rounds.verdict(found) == (
        "0 of 1 expectations hold; envoy misses success in one-hangs. "
        "2 runs broke: what was measured there tells little."
    )


@pytest.mark.parametrize("changes", [{}, {"interrupted": True}, {"problems": ["it ended"]}])
@pytest.mark.parametrize("holds", [True, False])
def test_rows_and_judgements_agree_on_what_holds(changes, holds):
    runs = [run(1, verdicts=[verdict(True)]), run(2, verdicts=[verdict(holds)], **changes)]
    (row,) = medians.rows(Comparison(SCHEMA, "", runs))
    assert row.holds == all(each.holds for each in rounds.judgements(runs))


def test_interrupted_rounds_alone_are_not_judged():
    cut = [run(1, verdicts=[verdict(False)], interrupted=True)]
    assert [each.is_judged for each in rounds.judgements(cut)] == [False]
    found = Comparison(SCHEMA, "", cut, interrupted=True)
    assert rounds.verdict(found) == "Nothing is judged: what was run was interrupted."
    cells = sheets.comparison(found).rows[0].cells[0]
    assert sheets.Bit("not judged: interrupted", tone="quiet") in cells
    assert sheets.verdicts(rounds.by_scenario(found)["one-hangs"]).note == "Not judged: envoy (interrupted)."


def test_notes_are_told_without_blaming_the_generator():
    noted = msgspec.structs.replace(BASE.generator, notes=["7 requests failed unsent"])
    assert rounds.unsound([run(1, generator=noted)]) == ["envoy: 7 requests failed unsent"]


def test_what_makes_results_doubtful_is_told_with_the_round():
    limited = msgspec.structs.replace(BASE.generator, limited=["late by 40 ms"])
    runs = [run(1, interrupted=True), run(2, problems=["envoy ended by itself"]), run(3, generator=limited), run(4)]
    assert rounds.unsound(runs) == [
        "envoy, round 1: the run was interrupted; it was meant to last 20 s.",
        "envoy, round 2: envoy ended by itself",
        "envoy, round 3: meshload itself was the limit: late by 40 ms",
    ]
