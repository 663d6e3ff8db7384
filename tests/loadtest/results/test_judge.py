from __future__ import annotations

from typing import Any

import pytest

from loadtest.messages import Cell
from loadtest.outcome import ABANDONED
from loadtest.results.judge import is_judged, judge
from loadtest.results.model import Ledger, Verdict
from loadtest.results.sums import Sums
from loadtest.scenario.model import Scenario

KNOWN = Ledger(is_known=True, sent=100, succeeded=100, writes=50)


def scenario(*expect: dict[str, Any], **more: Any) -> Scenario:
    phases = [{"for": "2s", "rate": "10/s", "measured": False}, {"for": "18s", "rate": "10/s"}]
    return Scenario.model_validate({"name": "a", "load": {"phases": phases}, "expect": list(expect), **more})


def sums(of: Scenario) -> Sums:
    """Nine successes of 10 ms a bin, from 10 s on three of 100 ms and a failure; the warm-up until 2 s is worse."""
    found = Sums(of, 0.25)
    for number in range(8):
        found.add(Cell(0, number, {"503": 5}, {}, {1: 5}))
    for number in range(8, 40):
        found.add(Cell(1, number, {"200": 9}, {10_000: 9}, {10_000: 9}))
    for number in range(40, 80):
        found.add(Cell(1, number, {"200": 3, "503": 1}, {100_000: 3}, {100_000: 3, 7: 1}))
    return found


def verdicts(*expect: dict[str, Any], ledger: Ledger = KNOWN) -> list[Verdict]:
    of = scenario(*expect)
    return judge(of, sums(of), ledger)


def verdict(ledger: Ledger = KNOWN, **expect: Any) -> Verdict:
    (found,) = verdicts(expect, ledger=ledger)
    return found


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        ({"success": 90.0}, Verdict("success", "at least 90 %", "91.07 %", holds=True)),
        ({"success": 91.4}, Verdict("success", "at least 91.4 %", "91.07 %", holds=False)),
        ({"success": 75.0, "from": "10s"}, Verdict("success, 10 s to the end", "at least 75 %", "75.00 %", holds=True)),
        ({"success": 100.0, "to": "10s"}, Verdict("success, 0 s to 10 s", "at least 100 %", "100.00 %", holds=True)),
        ({"success": 99.9, "to": "10.1s"}, Verdict("success, 0 s to 10.1 s", "at least 99.9 %", "99.65 %", False)),
        ({"p50": "10ms", "from": "2s", "to": "9s"}, Verdict("p50, 2 s to 9 s", "at most 10 ms", "10.01 ms", False)),
        ({"p50": "11ms"}, Verdict("p50", "at most 11 ms", "10.01 ms", holds=True)),
        ({"p90": "50ms"}, Verdict("p90", "at most 50 ms", "100 ms", holds=False)),
        ({"p99": "101ms"}, Verdict("p99", "at most 101 ms", "100 ms", holds=True)),
        ({"p99_9": "101ms"}, Verdict("p99.9", "at most 101 ms", "100 ms", holds=True)),
        ({"max": "50ms", "to": "9s"}, Verdict("slowest, 0 s to 9 s", "at most 50 ms", "10.01 ms", holds=True)),
        ({"repeated_writes": 0}, Verdict("writes executed twice", "none", "0", holds=True)),
        ({"lost": 2}, Verdict("lost successes", "at most 2", "0", holds=True)),
    ],
)  # fmt: skip
def test_a_measure_is_held_against_what_was_expected(expect: dict[str, Any], expected: Verdict) -> None:
    assert verdict(**expect) == expected


def test_every_measure_of_every_expectation_is_judged_in_order() -> None:
    found = verdicts({"p99": "1s", "success": 50.0, "lost": 0, "repeated_writes": 0}, {"max": "1s", "from": "3s"})
    assert [each.what for each in found] == [
        "success", "p99", "writes executed twice", "lost successes", "slowest, 3 s to the end",
    ]  # fmt: skip
    assert all(each.holds for each in found)


@pytest.mark.parametrize("window", [{"to": "2s"}, {"from": "20s"}, {"from": "5.1s", "to": "5.2s"}])
def test_what_was_not_measured_does_not_hold(window: dict[str, str]) -> None:
    found = verdicts({"success": 0.0, "p50": "1h", **window})
    assert [(each.measured, each.holds) for each in found] == [("nothing was measured", False)] * 2


def test_without_a_success_no_latency_holds() -> None:
    of = scenario({"p99": "1h", "success": 0.0})
    found = Sums(of, 0.25)
    found.add(Cell(1, 9, {"503": 3}, {}, {5: 3}))
    assert [(each.measured, each.holds) for each in judge(of, found, KNOWN)] == [
        ("0.00 %", True),
        ("no success", False),
    ]


def test_what_was_only_abandoned_was_not_measured() -> None:
    of = scenario({"p99": "1h", "success": 0.0})
    found = Sums(of, 0.25)
    found.add(Cell(1, 9, {ABANDONED: 3}, {}, {5: 3}))
    assert {(each.measured, each.holds) for each in judge(of, found, KNOWN)} == {("nothing was measured", False)}


def test_a_near_miss_does_not_read_like_a_hit() -> None:
    of = scenario({"success": 100.0, "p50": "2ms"})
    found = Sums(of, 0.25)
    found.add(Cell(1, 9, {"200": 99_999, "503": 1}, {2001: 99_999}, {2001: 99_999, 1: 1}))
    success, p50 = judge(of, found, KNOWN)
    assert (success.measured, success.holds) == ("99.99 %", False)
    assert (p50.measured, p50.holds) == ("2.001 ms", False)
    (p99,) = judge(scenario({"p99": "100.02ms"}), sums(of), KNOWN)
    assert (p99.expected, p99.measured, p99.holds) == ("at most 100 ms", "100031 us", False)


@pytest.mark.parametrize("name", ["repeated_writes", "lost"])
def test_a_ledger_that_is_not_known_or_empty_does_not_hold(name: str) -> None:
    found = verdict(ledger=Ledger(), **{name: 5})
    assert (found.measured, found.holds) == ("not known: no origin told what it executed", False)
    found = verdict(ledger=Ledger(is_known=True), **{name: 5})
    assert (found.measured, found.holds) == ("nothing was measured", False)


@pytest.mark.parametrize(("count", "most", "holds"), [(0, 0, True), (1, 0, False), (2, 2, True), (3, 2, False)])
def test_ledgers_are_counted(count: int, most: int, holds: bool) -> None:
    ledger = Ledger(is_known=True, sent=9, writes=9, lost=count, writes_executed_twice=count)
    found = verdicts({"repeated_writes": most, "lost": most}, ledger=ledger)
    assert [(each.measured, each.holds) for each in found] == [(str(count), holds)] * 2


def test_late_arrivals_leave_it_open_how_often_writes_were_executed() -> None:
    late = {"is_known": True, "sent": 9, "late": 2}
    found = verdicts({"repeated_writes": 0, "lost": 0}, ledger=Ledger(**late, writes=1))
    assert [each.holds for each in found] == [False, True]
    assert found[0].measured == "0 or more: in 2 chunks of ids something arrived after they were compared"
    assert verdict(ledger=Ledger(**late), repeated_writes=0).holds


@pytest.mark.parametrize(
    ("judged", "subject", "is_so"),
    [
        ([], "envoy", True),
        (["meshproxy"], "meshproxy-mtls", True),
        (["meshproxy"], "meshproxy", True),
        (["direct", "meshproxy-"], "meshproxy", False),
        (["direct", "meshproxy-"], "direct", True),
        (["meshproxy"], "http://meshproxy", False),
    ],
)
def test_subjects_are_judged_by_the_beginning_of_their_names(judged: list[str], subject: str, is_so: bool) -> None:
    assert is_judged(scenario(judged=judged), subject) is is_so
