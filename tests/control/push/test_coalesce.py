from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.push.coalesce import LONGEST_S, WINDOW_S, Coalescer


def flushes(times):
    """Play changes at `times` (sorted); return when they were flushed."""
    coalescer = Coalescer()
    due, flushed = inf, []
    for now in [*times, inf]:
        while due <= now and due != inf:
            flushed.append(due)
            coalescer.on_flush(due)
            due = inf
        if now != inf:
            due = max(now, coalescer.on_change(now))
            if due <= now:
                flushed.append(now)
                coalescer.on_flush(now)
                due = inf
    return flushed


@pytest.mark.parametrize(
    ("times_ms", "flushed_ms"),
    [
        ([100], [100]),
        ([100, 200], [100, 200]),
        ([100, 111], [100, 111]),  # the window has closed
        ([100, 105], [100, 115]),
        ([100, 105, 110], [100, 120]),
        ([100, 105, 114, 123], [100, 133]),
        ([100, *range(101, 301)], [100, 201, 301]),  # a change that waits, waits for 100 ms at most
        ([100, 105, 115], [100, 115, 125]),
    ],
)
def test_the_first_goes_at_once_and_what_follows_closely_goes_together(times_ms, flushed_ms):
    assert [round(at * 1000) for at in flushes([ms / 1000 for ms in times_ms])] == flushed_ms


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=60))
def test_every_change_is_flushed_in_time(gaps):
    times, now = [], 100.0
    for gap in gaps:
        now += gap
        times.append(now)
    flushed = flushes(times)
    assert flushed[0] == times[0]
    for at in times:
        assert any(at <= flush <= at + LONGEST_S + 1e-9 for flush in flushed)
    assert all(after - before >= WINDOW_S - 1e-9 for before, after in pairwise(flushed))
