from __future__ import annotations

import gc
import weakref
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.kit.wheel import COARSE, HORIZON, PER_S, TURN_LIMIT, Timer, Wheel

GRAIN = 1 / PER_S


class Log:
    """A wheel whose timers note when they fire."""

    def __init__(self) -> None:
        self.wakes: list[float] = []
        self.wheel = Wheel(self.wakes.append)
        self.fired: list[tuple[str, float]] = []

    def timer(self, name: str = "t") -> Timer:
        return Timer(lambda now: self.fired.append((name, now)))

    def run(self, until: float) -> None:
        """Advance as an ideal driver would."""
        while (at := self.wheel.next_at()) is not None and at <= until:
            self.wheel.advance(at)
        self.wheel.advance(until)


def test_a_timer_fires_once_and_is_idle_then() -> None:
    log = Log()
    timer = log.timer()
    log.wheel.arm(timer, 1.0)
    assert timer.deadline != inf
    log.run(0.999)
    assert log.fired == []
    log.run(5.0)
    assert [name for name, _ in log.fired] == ["t"]
    assert timer.deadline == inf
    assert log.wheel.next_at() is None


@given(st.lists(st.floats(0.001, 100.0), min_size=1, max_size=30), st.floats(0.0, 1e7))
def test_nothing_is_early_and_nothing_later_than_a_grain(delays: list[float], start: float) -> None:
    log = Log()
    log.wheel.advance(start)
    deadlines = {str(i): start + delay for i, delay in enumerate(delays)}
    for name, deadline in deadlines.items():
        log.wheel.arm(log.timer(name), deadline)
    log.run(start + 101.0)
    assert len(log.fired) == len(delays)
    for name, at in log.fired:
        assert deadlines[name] <= at <= deadlines[name] + GRAIN


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["arm", "cancel", "advance"]), st.floats(0.0, 30.0)), max_size=60
    )
)
def test_any_order_of_arm_cancel_and_advance_fires_what_a_plain_list_would(
    steps: list[tuple[int, str, float]],
) -> None:
    log = Log()
    timers = [log.timer(str(i)) for i in range(4)]
    expected: dict[int, float] = {}
    now = 0.0
    for which, action, value in steps:
        if action == "arm":
            log.wheel.arm(timers[which], now + value)
            expected[which] = now + value
        elif action == "cancel":
            timers[which].deadline = inf
            expected.pop(which, None)
        else:
            now += value
            log.fired.clear()
            log.run(now)
            fired = {int(name) for name, _ in log.fired}
            assert len(fired) == len(log.fired)
            surely = {i for i, at in expected.items() if at < now - GRAIN}
            perhaps = {i for i, at in expected.items() if at <= now}
            assert surely <= fired <= perhaps
            for i in fired:
                del expected[i]
        assert len(log.wheel) <= len(timers)
        assert {i for i, timer in enumerate(timers) if timer.deadline != inf} == set(expected)


def test_a_later_deadline_moves_no_entry_and_wakes_nobody() -> None:
    log = Log()
    timer = log.timer()
    log.wheel.arm(timer, 1.0)
    wakes = list(log.wakes)
    for i in range(1000):
        log.wheel.arm(timer, 1.0 + i * 0.005)
        timer.deadline = inf
    log.wheel.arm(timer, 8.0)
    assert log.wakes == wakes
    assert len(log.wheel) == 1
    log.run(7.9)
    assert log.fired == []
    log.run(8.1)
    assert len(log.fired) == 1


def test_an_earlier_deadline_moves_the_entry_and_wakes_the_driver() -> None:
    log = Log()
    timer = log.timer()
    log.wheel.arm(timer, 5.0)
    log.wheel.arm(timer, 1.0)
    assert len(log.wheel) == 1
    assert len(log.wakes) == 2
    assert log.wakes[1] < log.wakes[0]
    log.run(10.0)
    assert len(log.fired) == 1


def test_the_driver_is_woken_only_when_the_next_visit_gets_earlier() -> None:
    log = Log()
    for i in range(100):
        log.wheel.arm(log.timer(), 1.0 + i / 50)
    assert log.wakes == [1.0 + GRAIN]


def test_a_callback_may_arm_its_own_timer_and_others() -> None:
    wheel = Wheel()
    seen: list[tuple[str, float]] = []

    def on_first(now: float) -> None:
        seen.append(("first", now))
        if len(seen) > 1:
            return
        wheel.arm(first, now)
        wheel.arm(second, now - 1.0)
        third.deadline = inf

    first, second = Timer(on_first), Timer(lambda now: seen.append(("second", now)))
    third = Timer(lambda now: seen.append(("third", now)))
    for timer in (first, second, third):
        wheel.arm(timer, 1.0)
    wheel.advance(2.0)
    assert seen == [("first", 2.0)], "what is armed for now or the past waits for the next slot"
    wheel.advance(2.0 + 2 * GRAIN)
    assert sorted(name for name, _ in seen[1:]) == ["first", "second"]


def test_a_failing_callback_loses_no_other_and_is_reported() -> None:
    log = Log()

    def fail(_now: float) -> None:
        raise RuntimeError("defect")

    log.wheel.arm(log.timer("a"), 1.0)
    log.wheel.arm(Timer(fail), 1.0)
    log.wheel.arm(log.timer("b"), 1.0)
    log.wheel.arm(log.timer("c"), 1.5)
    with pytest.raises(ExceptionGroup) as raised:
        log.wheel.advance(2.0)
    assert [str(failure) for failure in raised.value.exceptions] == ["defect"]
    assert [name for name, _ in log.fired] == ["a", "b", "c"]


def test_one_turn_is_bounded_and_the_rest_is_due_at_once() -> None:
    log = Log()
    for _ in range(TURN_LIMIT + 10):
        log.wheel.arm(log.timer(), 1.0)
    log.wheel.advance(2.0)
    assert len(log.fired) == TURN_LIMIT
    at = log.wheel.next_at()
    assert at is not None
    assert at <= 2.0
    log.wheel.advance(2.0)
    assert len(log.fired) == TURN_LIMIT + 10


def test_cancelled_timers_with_far_deadlines_are_let_go_within_the_horizon() -> None:
    log = Log()
    timers = [log.timer() for _ in range(100)]
    for timer in timers:
        log.wheel.arm(timer, 3600.0)
        timer.deadline = inf
    assert len(log.wheel) == 100
    log.run(HORIZON / PER_S)
    assert len(log.wheel) == 0


def test_a_closed_timer_lets_go_of_its_owner_at_once() -> None:
    class Owner:
        def __init__(self) -> None:
            self.timer = Timer(self.on_timer)

        def on_timer(self, now: float) -> None:
            raise AssertionError(now)

    wheel = Wheel()
    owner = Owner()
    wheel.arm(owner.timer, 5.0)
    owner.timer.close()
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    wheel.advance(6.0)
    assert len(wheel) == 0


def test_far_deadlines_fire_in_time_and_are_gathered_on_the_way() -> None:
    log = Log()
    for i in range(200):
        log.wheel.advance(i / 100)
        log.wheel.arm(log.timer(str(i)), 300.0 + i / 1000)
    visits = set()
    while (at := log.wheel.next_at()) is not None and at < 290.0:
        visits.add(at)
        log.wheel.advance(at)
    assert len(visits) <= 4 * (300 * PER_S / (HORIZON - COARSE) + 1)
    log.run(301.0)
    assert len(log.fired) == 200


def test_time_that_goes_back_fires_nothing_twice() -> None:
    log = Log()
    log.wheel.advance(100.0)
    log.wheel.arm(log.timer(), 100.5)
    log.wheel.advance(99.0)
    log.wheel.advance(101.0)
    log.wheel.advance(99.0)
    assert len(log.fired) == 1


def test_arming_for_never_is_not_armed() -> None:
    log = Log()
    timer = log.timer()
    log.wheel.arm(timer, inf)
    assert log.wheel.next_at() is None
    assert repr(timer) == "<Timer idle>"
