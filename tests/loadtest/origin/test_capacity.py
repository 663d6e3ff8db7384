"""Slots, the queue before them, and how long work takes."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.origin.capacity import UNLIMITED, Capacity, Place, draw_s
from loadtest.scenario.model import ServiceTime


@pytest.mark.parametrize(
    ("concurrency", "queue", "places"),
    [
        (1, 0, "SLOT NONE NONE"),
        (1, 1, "SLOT QUEUE NONE"),
        (2, 1, "SLOT SLOT QUEUE NONE"),
        (None, 0, "SLOT SLOT SLOT SLOT"),
    ],
)
def test_slots_are_given_first_then_the_queue_then_nothing(concurrency: int | None, queue: int, places: str) -> None:
    capacity: Capacity[int] = Capacity(concurrency, queue)
    assert [capacity.admit(each) for each in range(len(places.split()))] == [Place[each] for each in places.split()]


def test_what_has_no_limit_has_a_bound() -> None:
    capacity: Capacity[int] = Capacity(None, 0)
    assert {capacity.admit(each) for each in range(UNLIMITED)} == {Place.SLOT}
    assert capacity.admit(UNLIMITED) is Place.NONE


def test_a_place_that_was_given_up_is_the_next_ones() -> None:
    capacity: Capacity[str] = Capacity(1, 2)
    for each in "abc":
        capacity.admit(each)
    assert capacity.admit("d") is Place.NONE
    capacity.leave("b")
    assert capacity.admit("e") is Place.QUEUE
    assert [capacity.finish(), capacity.finish(), capacity.finish()] == ["c", "e", None]


def test_who_is_served_has_no_place_to_give_up() -> None:
    capacity: Capacity[str] = Capacity(1, 0)
    capacity.admit("a")
    capacity.leave("a")
    assert capacity.admit("b") is Place.NONE


@given(
    st.one_of(st.none(), st.integers(1, 4)),
    st.integers(0, 4),
    st.lists(st.sampled_from(["admit", "finish", "leave"]), max_size=60),
    st.randoms(use_true_random=False),
)
def test_bounds_hold_and_the_order_is_that_of_arrival(
    concurrency: int | None, queue: int, steps: list[str], chance: Random
) -> None:
    capacity: Capacity[int] = Capacity(concurrency, queue)
    serving: set[int] = set()
    waiting: list[int] = []
    for number, step in enumerate(steps):
        if step == "admit":
            place = capacity.admit(number)
            if place is Place.SLOT:
                assert not waiting
                serving.add(number)
            elif place is Place.QUEUE:
                assert len(serving) == concurrency
                waiting.append(number)
            else:
                assert len(serving) == concurrency
                assert len(waiting) == queue
        elif step == "finish" and serving:
            serving.pop()
            following = capacity.finish()
            assert following == (waiting[0] if waiting else None)
            if following is not None:
                serving.add(waiting.pop(0))
        elif step == "leave" and waiting:
            capacity.leave(waiting.pop(chance.randrange(len(waiting))))
        assert (capacity.serving, capacity.waiting) == (len(serving), len(waiting))
        assert concurrency is None or len(serving) <= concurrency
        assert len(waiting) <= queue


def test_a_fixed_time_is_that_time() -> None:
    assert draw_s(ServiceTime(fixed="20ms"), Random(1)) == pytest.approx(0.02)  # type: ignore[arg-type]


def test_uniform_times_fill_their_range() -> None:
    time = ServiceTime(uniform=["10ms", "30ms"])  # type: ignore[list-item]
    chance = Random(1)
    drawn = [draw_s(time, chance) for _ in range(2000)]
    assert 0.01 <= min(drawn) < 0.011
    assert 0.029 < max(drawn) <= 0.03
    assert sum(drawn) / len(drawn) == pytest.approx(0.02, rel=0.02)


def test_exponential_times_have_their_mean_and_spread() -> None:
    time = ServiceTime(exponential="10ms")  # type: ignore[arg-type]
    chance = Random(1)
    drawn = [draw_s(time, chance) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.01, rel=0.03)
    assert sum(each > 0.01 for each in drawn) / len(drawn) == pytest.approx(0.3679, rel=0.03)


@pytest.mark.parametrize("time", [{"fixed": "0s"}, {"uniform": ["0s", "0s"]}, {"exponential": "0s"}])
def test_no_time_is_no_time(time: dict[str, object]) -> None:
    assert draw_s(ServiceTime.model_validate(time), Random(1)) == 0


def test_the_same_seed_draws_the_same() -> None:
    time = ServiceTime(exponential="10ms")  # type: ignore[arg-type]
    one, other = Random("s"), Random("s")
    assert [draw_s(time, one) for _ in range(20)] == [draw_s(time, other) for _ in range(20)]
