"""The schedule of a load: what is due when."""

from __future__ import annotations

from itertools import chain, pairwise
from math import ceil, sqrt
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.arrivals import spans, starts
from loadtest.scenario.model import Phase


def phase(seconds: float, rate: float, to: float | None = None, steps: int | None = None) -> Phase:
    fields: dict[str, object] = {"for": f"{seconds:.6f}s"}
    fields |= {"rate": f"{rate:.6f}/s"} if to is None else {"from": f"{rate:.6f}/s", "to": f"{to:.6f}/s"}
    return Phase.model_validate(fields | ({"steps": steps} if steps else {}))


rates = st.floats(min_value=0.5, max_value=400)
phases = st.lists(
    st.one_of(
        st.builds(phase, st.floats(0.1, 5), rates),
        st.builds(phase, st.floats(0.1, 5), rates, rates),
        st.builds(phase, st.floats(0.1, 5), rates, rates, st.integers(2, 9)),
    ),
    min_size=1,
    max_size=5,
)


def uniform(load: list[Phase], worker: int = 0, workers: int = 1) -> list[tuple[float, int]]:
    return list(starts(load, "uniform", worker, workers, Random(0)))


def poisson(load: list[Phase], seed: int, workers: int = 1) -> list[tuple[float, int]]:
    return list(starts(load, "poisson", 0, workers, Random(seed)))


def expected(load: list[Phase]) -> float:
    """How many are due in all, from what the phases say and not from their spans."""
    return sum(
        each.for_ * (each.rate if each.rate is not None else (each.from_ + each.to) / 2)  # type: ignore[operator]
        for each in load
    )


@given(phases)
@settings(deadline=None)
def test_uniform_starts_are_sorted_in_their_phases_and_as_many_as_the_rate_says(load: list[Phase]):
    found = uniform(load)
    assert abs(len(found) - expected(load)) <= 1
    assert all(a <= b for (a, _), (b, _) in pairwise(found))
    edges = [0.0]
    for each in load:
        edges.append(edges[-1] + each.for_)
    assert all(edges[number] <= due_s <= edges[number + 1] for due_s, number in found)


@given(phases, st.integers(1, 7))
@settings(deadline=None)
def test_the_shares_of_all_workers_are_exactly_the_whole_schedule(load: list[Phase], workers: int):
    shares = [uniform(load, worker, workers) for worker in range(workers)]
    assert sorted(chain.from_iterable(shares)) == uniform(load)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(phases, st.integers(0, 1000), st.integers(1, 5))
@settings(deadline=None)
def test_poisson_starts_are_sorted_and_the_same_for_the_same_seed(load: list[Phase], seed: int, workers: int):
    found = poisson(load, seed, workers)
    assert found == poisson(load, seed, workers)
    assert all(a <= b for (a, _), (b, _) in pairwise(found))
    total_s = sum(each.for_ for each in load)
    assert all(0 <= due_s <= total_s for due_s, _ in found)


@given(phases)
@settings(deadline=None)
def test_each_uniform_start_is_where_the_integral_of_the_rate_is_its_number(load: list[Phase]):
    whole = spans(load)
    for number, (due_s, _) in enumerate(uniform(load)):
        span = max((each for each in whole if each.begin_s <= due_s + 1e-9), key=lambda each: each.begin_s)
        past_s = due_s - span.begin_s
        assert span.before + past_s * (span.rate + span.slope * past_s / 2) == pytest.approx(number, abs=1e-3)


def test_a_constant_rate_has_even_gaps():
    found = [due_s for due_s, _ in uniform([phase(2, 200)])]
    assert len(found) == 400
    assert found == pytest.approx([number / 200 for number in range(400)])


def test_a_ramp_follows_the_inverse_of_its_integral():
    # N(t) = 5 t^2 for a ramp from (almost) nothing to 100/s in 10 s.
    found = [due_s for due_s, _ in uniform([phase(10, 0.000001, 100)])]
    assert len(found) in {500, 501}
    assert found == pytest.approx([sqrt(number / 5) for number in range(len(found))], abs=1e-5)


def test_a_ramp_down_ends_in_its_phase():
    found = [due_s for due_s, _ in uniform([phase(10, 100, 0.000001)])]
    assert len(found) == ceil(expected([phase(10, 100, 0.000001)]))
    assert found[-1] <= 10


def test_steps_go_from_one_rate_to_the_other_with_both_ends():
    found = [due_s for due_s, _ in uniform([phase(4, 100, 400, 4)])]
    per_second = [sum(second <= due_s < second + 1 for due_s in found) for second in range(4)]
    assert per_second == [100, 200, 300, 400]


def test_phases_follow_each_other_without_a_gap_or_a_double():
    found = uniform([phase(0.25, 10), phase(0.25, 10)])
    # 0, 0.1, 0.2 | 0.3, 0.4: the second phase goes on where the first was.
    assert [due_s for due_s, _ in found] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert [number for _, number in found] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("first_ms", [100, 200, 300, 1100])
@pytest.mark.parametrize("then_ms", [100, 300, 700])
@pytest.mark.parametrize("rate", [10, 50, 200, 1000])
def test_whole_numbers_are_not_rounded_to_one_more(first_ms: int, then_ms: int, rate: int):
    found = uniform([phase(first_ms / 1000, rate), phase(then_ms / 1000, rate)])
    assert [number for _, number in found].count(0) == first_ms * rate // 1000
    assert [number for _, number in found].count(1) == then_ms * rate // 1000


def test_poisson_gaps_are_exponential():
    """Kolmogorov and Smirnov's distance to the exponential distribution; the seed is fixed, so this cannot waver."""
    found = [due_s for due_s, _ in poisson([phase(100, 200)], seed=7)]
    gaps = sorted(b - a for a, b in pairwise(found))
    n = len(gaps)
    assert abs(n - 20_000) < 4 * sqrt(20_000)
    distance = max(abs((index + 0.5) / n - (1 - 2.718281828459045 ** (-200 * gap))) for index, gap in enumerate(gaps))
    assert distance < 1.63 / sqrt(n)  # 1 % level


def test_poisson_counts_follow_a_ramp():
    found = [due_s for due_s, _ in poisson([phase(10, 100, 1900)], seed=3)]
    per_second = [sum(second <= due_s < second + 1 for due_s in found) for second in range(10)]
    for second, n in enumerate(per_second):
        due = 100 + 180 * (second + 0.5)
        assert abs(n - due) < 4 * sqrt(due)


def test_poisson_shares_are_a_part_of_the_rate_each():
    assert abs(len(poisson([phase(100, 200)], seed=5, workers=4)) - 5_000) < 4 * sqrt(5_000)


def test_a_schedule_is_lazy():
    endless = starts([phase(86_400, 1_000_000)], "poisson", 0, 1, Random(1))
    assert [next(endless)[1] for _ in range(3)] == [0, 0, 0]
