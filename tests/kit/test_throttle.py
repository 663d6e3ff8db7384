from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from meshproxy.kit.throttle import Throttle


def test_the_first_is_admitted_and_the_others_are_counted_until_the_interval_is_over() -> None:
    throttle = Throttle(1.0)
    assert throttle.admit(100.0) == 0
    assert [throttle.admit(100.0 + n / 10) for n in range(10)] == [None] * 10
    assert throttle.admit(101.0) == 10
    assert throttle.admit(101.5) is None
    assert throttle.admit(200.0) == 1
    assert throttle.admit(201.0) == 0


@given(st.lists(st.floats(0.0, 3.0), max_size=60))
def test_every_event_is_admitted_or_counted_and_no_two_are_admitted_within_the_interval(gaps: list[float]) -> None:
    throttle = Throttle(1.0)
    now, told, admitted = 50.0, 0, []
    for gap in gaps:
        now += gap
        suppressed = throttle.admit(now)
        if suppressed is not None:
            admitted.append(now)
            told += 1 + suppressed
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(admitted))
    suppressed = throttle.admit(now + 2.0)
    assert suppressed is not None
    assert told + suppressed == len(gaps)
