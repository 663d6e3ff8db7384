from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.policy.budget import RetryBudget
from meshproxy.wire import resources as wire


def test_the_least_is_there_before_any_request() -> None:
    budget = RetryBudget(20, 10, 10)
    assert [budget.withdraw(5.0) for _ in range(101)] == [True] * 100 + [False]


def test_requests_pay_for_a_fifth_of_their_number() -> None:
    budget = RetryBudget(20, 0, 10)
    assert not budget.withdraw(0.0)
    for _ in range(50):
        budget.deposit(0.0)
    assert [budget.withdraw(0.5) for _ in range(11)] == [True] * 10 + [False]


def test_it_is_the_larger_of_both_and_not_their_sum() -> None:
    budget = RetryBudget(20, 10, 10)
    for _ in range(600):
        budget.deposit(0.0)
    assert budget.allowance == 120.0


def test_requests_pay_for_no_longer_than_a_window() -> None:
    budget = RetryBudget(20, 0, 10)
    for _ in range(100):
        budget.deposit(0.0)
    assert budget.withdraw(8.9)
    assert not budget.withdraw(10.0)


def test_the_window_passes() -> None:
    budget = RetryBudget(20, 1, 10)
    for _ in range(100):
        budget.deposit(0.0)
    assert budget.allowance == 20.0
    assert sum(budget.withdraw(0.1) for _ in range(30)) == 20
    assert not budget.withdraw(9.5)
    assert sum(budget.withdraw(11.5) for _ in range(30)) == 10, "the old requests pay no longer, the least is back"
    assert budget.spent == 10


@pytest.mark.parametrize("leap", [11.1, 60.0, 1e6, 1e12])
def test_a_leap_ahead_begins_anew(leap: float) -> None:
    budget = RetryBudget(20, 1, 10)
    for _ in range(100):
        budget.deposit(3.0)
        budget.withdraw(3.0)
    budget.deposit(3.0 + leap)
    assert budget.spent == 0
    assert budget.allowance == 10.0


def test_time_that_stands_still_or_goes_back_forgets_nothing() -> None:
    budget = RetryBudget(20, 1, 10)
    for now in (100.0, 100.0, 50.0, 0.0):
        budget.deposit(now)
        assert budget.withdraw(now)
    assert budget.spent == 4


def test_settings_are_taken_over_and_nonsense_allows_nothing() -> None:
    assert RetryBudget.of(wire.RetryBudget(percent=10, min_per_s=2, window_s=5)).allowance == 10.0
    assert not RetryBudget(-5, -1, 10).withdraw(0.0)
    assert not RetryBudget(20, 10, 0).withdraw(0.0)


@given(
    st.sampled_from([0.0, 20.0, 100.0]),
    st.sampled_from([0.0, 0.3, 2.0]),
    st.lists(st.tuples(st.booleans(), st.floats(0.0, 3.0), st.integers(1, 30)), max_size=80),
)
def test_no_window_holds_more_repetitions_than_its_requests_or_the_least_allow(
    percent: float, min_per_s: float, steps: list[tuple[bool, float, int]]
) -> None:
    """At the instant of every granted repetition, over the true sliding window that ends there."""
    window_s = 5.0
    budget = RetryBudget(percent, min_per_s, window_s)
    requests: list[float] = []
    repeats: list[float] = []
    now = 100.0
    for is_request, pause, times in steps:
        now += pause
        for _ in range(times):
            if is_request:
                budget.deposit(now)
                requests.append(now)
            elif budget.withdraw(now):
                repeats.append(now)
                made = sum(at > now - window_s for at in repeats)
                asked = sum(at > now - window_s - 1e-6 for at in requests)
                assert made <= max(min_per_s * window_s, percent / 100 * asked)
            assert budget.spent >= 0
            assert budget.allowance >= 0
