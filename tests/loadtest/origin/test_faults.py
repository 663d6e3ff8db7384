"""Which fault a request meets."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.origin.faults import Faults, Rule
from loadtest.scenario.model import Fault


def fault(**fields: Any) -> Fault:
    return Fault.model_validate({"for": "10s", **fields})


def faults(*given: Fault, origin: str = "echo", instance: int = 1) -> Faults:
    return Faults(given, origin, instance)


def kind(rule: Rule | None) -> str | None:
    return rule and rule.kind


@pytest.mark.parametrize(
    ("now_s", "met"), [(-1, None), (0.99, None), (1, "status"), (10.99, "status"), (11, None), (float("-inf"), None)]
)
def test_a_window_begins_with_its_first_moment_and_ends_before_its_last(now_s: float, met: str | None) -> None:
    assert kind(faults(fault(at="1s", status=503)).pick(now_s, 1, Random(1))) == met


def test_the_first_of_the_file_that_applies_is_met() -> None:
    both = faults(fault(at="5s", status=503), fault(hang=True))
    assert [kind(both.pick(at, 1, Random(1))) for at in (4, 5, 9, 12)] == ["hang", "status", "status", "status"]


def test_a_fault_is_met_by_its_origin_and_its_instances_only() -> None:
    given = [fault(origin="other", hang=True), fault(instances=[2, 3], status=500)]
    met = {
        (origin, number): kind(Faults(given, origin, number).pick(1, 1, Random(1)))
        for origin in ("echo", "other")
        for number in (1, 2, 3)
    }
    assert met == {
        ("echo", 1): None, ("echo", 2): "status", ("echo", 3): "status",
        ("other", 1): "hang", ("other", 2): "hang", ("other", 3): "hang",
    }  # fmt: skip


def test_reused_spares_the_first_request_of_a_connection() -> None:
    only = faults(fault(reused=True, reset="before"))
    assert [kind(only.pick(1, number, Random(1))) for number in (1, 2, 3)] == [None, "reset", "reset"]


def test_percent_is_a_share_of_the_requests_and_the_same_for_the_same_seed() -> None:
    some = faults(fault(percent=30, status=503))
    one, other = Random("s"), Random("s")
    met = [some.pick(1, 1, one) is not None for _ in range(10_000)]
    assert met == [some.pick(1, 1, other) is not None for _ in range(10_000)]
    assert sum(met) / len(met) == pytest.approx(0.3, abs=0.02)


def test_what_is_left_by_one_percentage_may_meet_the_next_fault() -> None:
    two = faults(fault(percent=50, status=503), fault(percent=50, hang=True))
    chance = Random(1)
    met = [kind(two.pick(1, 1, chance)) for _ in range(10_000)]
    assert met.count("status") / len(met) == pytest.approx(0.5, abs=0.02)
    assert met.count("hang") / len(met) == pytest.approx(0.25, abs=0.02)


def test_chance_is_not_asked_when_it_decides_nothing() -> None:
    chance = Random(1)
    before = chance.getstate()
    given = faults(fault(at="5s", percent=30, status=503), fault(reused=True, percent=10, hang=True), fault(delay="1s"))
    assert kind(given.pick(1, 1, chance)) == "delay"
    assert chance.getstate() == before


def test_whole_faults_are_no_request_s() -> None:
    down = faults(fault(refuse=True), fault(status=503))
    assert kind(down.pick(1, 1, Random(1))) == "status"
    assert down.whole(1) == "refuse"
    assert down.whole(11) is None


def test_edges_of_whole_faults_come_one_after_the_other() -> None:
    down = faults(
        fault(at="1s", **{"for": "1s"}, every="3s", until="8s", refuse=True),
        fault(at="4s", **{"for": "2s"}, black_hole=True),
        fault(at="20s", status=503),
    )
    seen = []
    now_s: float | None = -1.0
    while now_s is not None:
        seen.append((now_s, down.whole(now_s)))
        now_s = down.next_edge(now_s)
    assert seen == [
        (-1, None), (1, "refuse"), (2, None), (4, "refuse"), (5, "black_hole"), (6, None), (7, "refuse"), (8, None),
    ]  # fmt: skip


@given(
    st.integers(0, 20),
    st.integers(1, 5),
    st.one_of(st.none(), st.tuples(st.integers(6, 9), st.integers(1, 60))),
    st.integers(0, 700),
)
def test_a_fault_holds_within_its_windows(at: int, length: int, again: tuple[int, int] | None, tenth: int) -> None:
    fields: dict[str, str] = {"at": f"{at}s", "for": f"{length}s"}
    if again:
        fields |= {"every": f"{again[0]}s", "until": f"{at + again[1]}s"}
    now_s = tenth / 10
    if again is None:
        holds = at <= now_s < at + length
    else:
        holds = at <= now_s < at + again[1] and (now_s - at) % again[0] < length
    assert (faults(fault(**fields, hang=True)).pick(now_s, 1, Random(1)) is not None) == holds
