from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loadtest.results.diff import Difference, diff
from loadtest.results.model import Ledger, Result, Verdict
from tests.loadtest.results.made import comparison, result, rounds, usage


def differences(old: list[Result], new: list[Result], tolerance_percent: float = 10.0) -> list[Difference]:
    return diff(comparison(*old), comparison(*new), tolerance_percent)


def told(found: list[Difference]) -> dict[str, tuple[str, str]]:
    """{name of the measure: (kind, change)}."""
    return {each.measure.name: (each.kind, each.change) for each in found if each.measure}


def test_the_same_is_no_difference() -> None:
    assert differences(rounds(1.0, 1.1), rounds(1.0, 1.1), 0.0) == []


@pytest.mark.parametrize(
    ("old", "new", "tolerance_percent", "kind"),
    [
        ((1.0,), (1.2,), 10.0, ("worse", "+20 %")),
        ((1.0,), (1.2,), 25.0, None),
        ((1.0,), (0.8,), 10.0, ("better", "-20 %")),
        ((1.0,), (1.05,), 1.0, ("worse", "+5.0 %")),
        ((1.0, 1.1, 1.3), (1.2, 1.4, 1.6), 10.0, None),  # the rounds overlap
        ((1.0, 1.1, 1.2), (1.3, 1.4, 1.6), 10.0, ("worse", "+27 %")),
        ((1.0, 1.1, 1.2), (1.21, 1.21, 1.21), 10.0, None),  # they do not, but it is little
        ((1.3, 1.4, 1.6), (1.0, 1.1, 1.2), 10.0, ("better", "-21 %")),
    ],
)
def test_latency_differs_beyond_tolerance_and_spread(
    old: tuple[float, ...], new: tuple[float, ...], tolerance_percent: float, kind: tuple[str, str] | None
) -> None:
    found = differences(rounds(*old), rounds(*new), tolerance_percent)
    expected = dict.fromkeys(("p50", "p99", "p99.9"), kind) if kind else {}
    assert told(found) == expected
    assert any(each.is_worse for each in found) == (kind is not None and kind[0] == "worse")


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (0, 20, ("worse", "-0.20 points")),
        (20, 0, ("better", "+0.20 points")),
        (0, 5, None),
        (0, 10, ("worse", "-0.10 points")),
        (10, 20, ("worse", "-0.10 points")),
        (5000, 4000, ("better", "+10.00 points")),
    ],
)
def test_success_is_compared_in_points_whatever_the_tolerance(
    old: int, new: int, change: tuple[str, str] | None
) -> None:
    def failing(failed: int) -> list[Result]:
        return [result(latencies={1000: 10_000 - failed}, failed=failed)]

    assert told(differences(failing(old), failing(new), 50.0)).get("success") == change


LEDGERS: list[tuple[dict[str, Any], dict[str, Any], str, tuple[str, str]]] = [
    ({}, {"writes_executed_twice": 1}, "writes executed twice", ("worse", "+1")),
    ({"writes_executed_twice": 4}, {}, "writes executed twice", ("better", "-100 %")),
    ({}, {"lost": 2}, "lost successes", ("worse", "+2")),
    ({"amplification": 1.0}, {"amplification": 1.5}, "amplification", ("worse", "+50 %")),
]


@pytest.mark.parametrize(("old", "new", "name", "change"), LEDGERS)
def test_ledgers_are_compared(old: dict[str, Any], new: dict[str, Any], name: str, change: tuple[str, str]) -> None:
    sides = [[result(ledger=Ledger(is_known=True, sent=100, **figures))] for figures in (old, new)]
    assert told(differences(*sides)) == {name: change}


def test_a_subject_that_needs_more_is_worse_and_one_that_does_more_is_better() -> None:
    old = [result(latencies={1000: 100}, usage=usage(0.1, 20_000_000))]
    new = [result(latencies={1000: 200}, usage=usage(0.3, 30_000_000))]
    assert told(differences(old, new)) == {
        "rate": ("better", "+100 %"),
        "CPU per request": ("worse", "+50 %"),
        "memory": ("worse", "+50 %"),
    }


def test_what_is_on_one_side_only_is_told_and_not_worse() -> None:
    found = differences([result("direct"), result("envoy")], [result("direct"), result("direct", scenario="flaps")])
    assert [(each.kind, each.scenario, each.subject) for each in found] == [
        ("only_old", "one-hangs", "envoy"),
        ("only_new", "flaps", "direct"),
    ]
    assert not any(each.is_worse for each in found)


def test_a_figure_on_one_side_only_is_told() -> None:
    (found,) = differences([result(usage=[])], [result(usage=usage(0.0, 2))])[:1]
    assert (found.kind, found.text) == ("incomparable", "CPU per request: no figure in the earlier results")


def test_another_machine_and_another_scenario_are_warned_of() -> None:
    old = result(cores=2, versions={"envoy": "1.37", "python": "3.11", "only here": "1"})
    new = result(cores=8, versions={"envoy": "1.38", "python": "3.11"}, text="name: one-hangs\nseed: 2")
    assert [(each.kind, each.scenario, each.text) for each in differences([old], [new])] == [
        ("warning", "", "cores: 2 earlier, 8 later"),
        ("warning", "", "envoy: 1.37 earlier, 1.38 later"),
        ("warning", "one-hangs", "the scenario's file is not the same"),
    ]


@pytest.mark.parametrize("side", [0, 1])
def test_figures_of_a_limited_generator_are_not_compared(side: int) -> None:
    sides = [rounds(1.0, 1.0), rounds(9.0, 9.0)]
    sides[side][1].generator.limited = ["it was late"]
    (found,) = differences(*sides)
    which = ("earlier", "later")[side]
    assert found.kind == "incomparable"
    assert found.text == (
        f"times and rate are not compared: the generator was the limit in the {which} results: round 2: it was late"
    )


def test_what_a_late_generator_has_no_part_in_is_compared_all_the_same() -> None:
    sides = rounds(1.0), rounds(1.0)
    sides[1][0].generator.limited = ["it was late"]
    for each in sides[1]:
        each.summary.success_percent -= 50
    assert [each.kind for each in differences(*sides)] == ["incomparable", "worse"]


def test_of_what_must_not_happen_the_worst_round_counts() -> None:
    sides = rounds(1.0, 1.0, 1.0), rounds(1.0, 1.0, 1.0)
    sides[1][1].ledger.writes_executed_twice = 100
    (found,) = differences(*sides)
    assert (found.kind, found.change) == ("worse", "+100")
    (found,) = differences(sides[1], sides[0])
    assert found.kind == "better"


def test_rounds_that_went_wrong_are_not_compared() -> None:
    broke, found = differences(rounds(1.0), rounds(9.0, problems=["it ended"]))
    assert (broke.kind, broke.text) == ("worse", "the later runs broke")
    assert found.kind == "incomparable"
    assert found.text == "no complete round in the later results: round 1: it ended"


def test_runs_that_broke_or_could_not_be_made_are_worse() -> None:
    sound, broken = rounds(1.0, 1.0), rounds(1.0, 1.0)
    broken[1].problems = ["envoy ended"]
    (found,) = differences(sound, broken)
    assert (found.kind, found.text) == (
        "worse",
        "not everything counts in the later results: round 2: envoy ended",
    )
    assert [each.kind for each in differences(broken, broken)] == ["warning"]
    assert [each.kind for each in differences(broken, sound)] == []
    failed = msgspec.structs.replace(comparison(*sound), failures=["one-hangs, envoy, round 1: it cannot be started"])
    assert [(each.kind, each.text) for each in diff(comparison(*sound), failed, 10)] == [
        ("worse", "could not be run: one-hangs, envoy, round 1: it cannot be started"),
    ]
    assert diff(failed, failed, 10) == []


@pytest.mark.parametrize(
    ("old", "new", "kinds"), [(True, False, ["worse"]), (False, True, ["better"]), (True, True, [])]
)
def test_expectations_that_no_longer_hold_are_worse(old: bool, new: bool, kinds: list[str]) -> None:
    sides = [[result(verdicts=[Verdict("p99", "at most 1 ms", "2 ms", holds)])] for holds in (old, new)]
    assert [each.kind for each in differences(*sides)] == kinds
