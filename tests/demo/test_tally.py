from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.screen import percent
from deploy.demo.tally import MAX_WORDS, STEP_S, Tally


def test_nothing_is_known_without_requests() -> None:
    tally = Tally()
    assert (tally.success, tally.quantile_s(0.5), tally.failed) == (None, None, 0)


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=100), st.sampled_from([0.5, 0.99, 1.0]))
def test_a_quantile_is_the_true_one_to_a_step(latencies: list[float], q: float) -> None:
    tally = Tally()
    for latency in latencies:
        tally.add(latency, "")
    rank = next(n for n in range(1, len(latencies) + 1) if n >= q * len(latencies))
    found = tally.quantile_s(q)
    assert found is not None
    assert abs(found - sorted(latencies)[rank - 1]) <= STEP_S


@given(st.lists(st.sampled_from(["", "", "502", "timeout"])), st.lists(st.sampled_from(["", "502"])))
def test_merged_tallies_count_as_one(first: list[str], second: list[str]) -> None:
    parts = [Tally(), Tally()]
    for part, words in zip(parts, (first, second), strict=True):
        for word in words:
            part.add(0.001, word)
    parts[0].merge(parts[1])
    words = first + second
    assert parts[0].requests == len(words)
    assert parts[0].failed == len(words) - words.count("")


def test_kinds_of_failures_are_bounded() -> None:
    tally = Tally()
    for n in range(10 * MAX_WORDS):
        tally.add(0.001, f"failure {n}")
    assert tally.failed == 10 * MAX_WORDS
    assert len(tally.failures) == MAX_WORDS + 1


def test_a_hundred_percent_is_said_only_without_a_failure() -> None:
    assert percent(1.0) == "100 %"
    assert percent(1 - 1e-9) == "99.99 %"
    assert percent(0.5) == "50.00 %"
    assert percent(None) == "-"
