from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.metrics import slots
from meshproxy.metrics.labels import OTHER
from meshproxy.metrics.slots import (
    BOUNDS_S,
    MAX_OTHERS,
    MAX_OUTCOMES,
    MAX_RETIRED,
    NEVER,
    OTHER_CODE,
    ExchangeSlot,
    Registry,
)

LABELS = ("outbound", "demo/echo:80", "demo/echo/0", "demo/echo-v1:80", "http")


def test_the_same_labels_give_the_same_slot_and_others_another():
    registry = Registry()
    slot = registry.exchange(*LABELS)
    assert registry.exchange(*LABELS) is slot
    assert registry.exchange("inbound", *LABELS[1:]) is not slot
    assert registry.connection("inbound", "downstream", True) is registry.connection("inbound", "downstream", True)
    assert registry.connection("inbound", "downstream", True) is not registry.connection("inbound", "downstream", False)


def test_an_outcome_without_fault_and_peer_is_counted_by_its_status_alone():
    slot = Registry().exchange(*LABELS)
    for _ in range(3):
        slot.finish(200, "", "", 0.01, 0.005)
    slot.finish(503, "no_endpoints", "", 0.0001, NEVER)
    slot.finish(200, "", "spiffe://a/ns/b/sa/c", 0.01, 0.005)
    assert slot.codes == {200: 3}
    assert slot.outcomes == {(503, "no_endpoints", ""): 1, (200, "", "spiffe://a/ns/b/sa/c"): 1}


def test_an_exchange_without_a_response_has_no_first_byte():
    slot = Registry().exchange(*LABELS)
    slot.finish(504, "connect_timeout", "", 1.0, NEVER)
    assert sum(slot.duration_counts) == 1
    assert sum(slot.first_byte_counts) == 0
    slot.finish(200, "", "", 1.0, 0.0)
    assert sum(slot.first_byte_counts) == 1


@pytest.mark.parametrize("index", range(len(BOUNDS_S)))
def test_a_bucket_includes_its_upper_bound(index):
    slot = Registry().exchange(*LABELS)
    slot.finish(200, "", "", BOUNDS_S[index], BOUNDS_S[index] * 1.0001)
    assert slot.duration_counts[index] == 1
    assert slot.first_byte_counts[index + 1] == 1


@given(st.lists(st.floats(0, 100), max_size=50))
def test_a_histogram_loses_nothing(durations):
    slot = Registry().exchange(*LABELS)
    for duration_s in durations:
        slot.finish(200, "", "", duration_s, duration_s)
    assert sum(slot.duration_counts) == sum(slot.first_byte_counts) == len(durations)
    assert slot.duration_sum_s == pytest.approx(sum(durations))
    for index in range(len(BOUNDS_S) + 1):
        assert slot.duration_counts[index] == sum(bisect_left(BOUNDS_S, d) == index for d in durations)


def test_peers_past_the_bound_become_other():
    slot = Registry().exchange(*LABELS)
    for n in range(MAX_OUTCOMES + 100):
        slot.finish(200, "", f"spiffe://a/ns/b/sa/{n}", 0.001, 0.001)
    assert len(slot.outcomes) == MAX_OUTCOMES + 1
    assert slot.outcomes[200, "", OTHER] == 100
    slot.finish(200, "", "spiffe://a/ns/b/sa/0", 0.001, 0.001)
    assert slot.outcomes[200, "", "spiffe://a/ns/b/sa/0"] == 2


@given(
    st.lists(
        st.tuples(
            st.integers(100, 999), st.sampled_from(["", "internal", "loop"]), st.sampled_from(["", "a", "b", "c"])
        ),
        max_size=200,
    )
)
def test_outcomes_are_bounded_and_none_is_lost(outcomes):
    slot = Registry().exchange(*LABELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "MAX_OUTCOMES", 8)
        patch.setattr(slots, "MAX_OTHERS", 4)
        for status, fault, peer in outcomes:
            slot.finish(status, fault, peer, 0.001, 0.001)
    assert sum(slot.codes.values()) + sum(slot.outcomes.values()) == len(outcomes)
    # Past the bounds: (other code, fault, other peer or none), for each fault.
    assert len(slot.codes) + len(slot.outcomes) <= 8 + 4 + 3 * 2


def test_statuses_past_the_bound_become_other():
    slot = Registry().exchange(*LABELS)
    for n in range(MAX_OUTCOMES + MAX_OTHERS + 100):
        slot.finish(100 + n, "", "", 0.001, 0.001)
    assert slot.codes[OTHER_CODE] == 100
    assert len(slot.codes) == MAX_OUTCOMES + MAX_OTHERS + 1


def test_counts_outlive_whoever_asked_for_them():
    registry = Registry()
    slot = registry.exchange(*LABELS)
    slot.finish(200, "", "", 0.001, 0.001)
    registry.release(slot)
    assert registry.exchange(*LABELS).codes == {200: 1}


def _slots(registry: Registry, letter: str, count: int) -> list[ExchangeSlot]:
    return [registry.exchange("outbound", f"demo/{letter}{n}:80", "r", "b", "http") for n in range(count)]


def test_only_idle_slots_that_nobody_holds_are_dropped_and_the_longest_unused_first():
    registry = Registry()
    busy = registry.exchange(*LABELS)
    busy.active = 1
    oldest = _slots(registry, "a", 5)
    old = _slots(registry, "b", MAX_RETIRED)
    used = _slots(registry, "c", 2 * MAX_RETIRED)
    for slot in (busy, *oldest, *old):
        registry.release(slot)
    # One with active exchanges counts against the bound, and stays.
    assert registry.exchanges() == [busy, *old[1:], *used]
    again = registry.exchange(*old[1].key)
    registry.release(used[0])
    assert registry.exchanges() == [busy, *old[1:], *used]
    assert again is old[1]


def test_a_slot_is_held_until_it_is_released_as_often_as_it_was_asked_for():
    registry = Registry()
    (mine,) = _slots(registry, "a", 1)
    assert registry.exchange(*mine.key) is mine
    registry.release(mine)
    for slot in _slots(registry, "b", MAX_RETIRED + 10):
        registry.release(slot)
    assert mine in registry.exchanges()
    registry.release(mine)
    for slot in _slots(registry, "c", MAX_RETIRED):
        registry.release(slot)
    assert mine not in registry.exchanges()


def test_who_is_used_is_told_by_what_ended_since_the_last_time_and_what_is_active():
    registry = Registry()
    one, two, three = _slots(registry, "a", 3)
    registry.exchange(*LABELS[:1], "demo/a9:80", *LABELS[2:])
    two.finish(200, "", "", 0.001, 0.001)
    three.active = 1
    assert registry.used("outbound") == {"demo/a1:80", "demo/a2:80"}
    assert registry.used("outbound") == {"demo/a2:80"}
    assert registry.used("inbound") == set()
    one.finish(503, "no_endpoints", "", 0.001, NEVER)
    three.active = 0
    assert registry.used("outbound") == {"demo/a0:80"}


def test_a_slot_is_used_once_anything_was_counted():
    for count in ("active", "attempts"):
        slot = Registry().exchange(*LABELS)
        assert not slot.is_used
        setattr(slot, count, 1)
        assert slot.is_used
    for outcome in ((200, "", ""), (503, "no_endpoints", ""), (200, "", "peer")):
        slot = Registry().exchange(*LABELS)
        slot.finish(*outcome, 0.001, NEVER)
        assert slot.is_used


def test_a_name_registered_twice_must_mean_the_same():
    registry = Registry()
    first = registry.counter("a_total", "A.", ("x",))
    assert registry.counter("a_total", "A.", ("x",)) is first
    with pytest.raises(ValueError, match="a_total is registered"):
        registry.counter("a_total", "A.", ("y",))
