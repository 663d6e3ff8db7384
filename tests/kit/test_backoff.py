from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshproxy.kit.backoff import backoff


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_lies_between_nothing_and_the_doubled_base_below_the_cap(attempt: int, value: float) -> None:
    wait = backoff(attempt, 0.025, 0.25, lambda: value)
    assert 0.0 <= wait <= 0.25
    assert wait <= 0.025 * 2 ** min(attempt, 10)


def test_the_upper_end_doubles_up_to_the_cap() -> None:
    waits = [backoff(attempt, 0.025, 0.25, lambda: 0.5) for attempt in range(6)]
    assert waits == [0.0125, 0.025, 0.05, 0.1, 0.125, 0.125]
