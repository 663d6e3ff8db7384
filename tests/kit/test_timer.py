from __future__ import annotations

import asyncio
import time
from typing import Any

import uvloop

from meshproxy.kit.aio.timer import Driver
from meshproxy.kit.wheel import PER_S, Timer


def test_timers_fire_on_a_real_loop_and_never_early() -> None:
    async def run() -> None:
        driver = Driver(asyncio.get_running_loop())
        done = asyncio.Event()
        late: list[float] = []

        def on_fire(now: float, deadline: float) -> None:
            late.append(now - deadline)
            if len(late) == 20:
                done.set()

        start = time.monotonic()
        for i in range(20):
            deadline = start + 0.002 * (20 - i)
            driver.wheel.arm(Timer(lambda now, deadline=deadline: on_fire(now, deadline)), deadline)
        await asyncio.wait_for(done.wait(), 10)
        assert all(delay >= 0.0 for delay in late)
        driver.close()

    uvloop.run(run())


def test_a_timer_armed_again_by_its_callback_goes_on() -> None:
    async def run() -> None:
        driver = Driver(asyncio.get_running_loop())
        done = asyncio.Event()
        count = 0

        def on_fire(now: float) -> None:
            nonlocal count
            count += 1
            if count < 5:
                driver.wheel.arm(timer, now + 0.001)
            else:
                done.set()

        timer = Timer(on_fire)
        driver.wheel.arm(timer, time.monotonic())
        await asyncio.wait_for(done.wait(), 10)
        assert count == 5
        driver.close()

    uvloop.run(run())


def test_a_failing_timer_goes_to_the_loops_handler_and_others_still_fire() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        problems: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _loop, context: problems.append(context))
        driver = Driver(loop)
        done = asyncio.Event()

        def fail(_now: float) -> None:
            raise RuntimeError("defect")

        now = time.monotonic()
        driver.wheel.arm(Timer(fail), now)
        driver.wheel.arm(Timer(lambda _now: done.set()), now + 3 / PER_S)
        await asyncio.wait_for(done.wait(), 10)
        assert [type(problem["exception"]) for problem in problems] == [ExceptionGroup]
        driver.close()

    uvloop.run(run())


class Loop:
    """Records what is asked of the event loop."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def call_later(self, delay: float, callback: Any) -> Call:
        self.calls.append(Call(delay, callback))
        return self.calls[-1]

    @property
    def standing(self) -> list[Call]:
        return [call for call in self.calls if not call.cancelled]


class Call:
    def __init__(self, delay: float, callback: Any) -> None:
        self.delay = delay
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def test_the_loop_is_asked_again_only_for_something_earlier() -> None:
    loop = Loop()
    driver = Driver(loop, clock=lambda: 100.0)  # type: ignore[arg-type]
    driver.wheel.advance(100.0)
    for i in range(50):
        driver.wheel.arm(Timer(lambda now: None), 101.0 + i / 10)
    assert len(loop.calls) == 1
    driver.wheel.arm(Timer(lambda now: None), 100.5)
    assert len(loop.calls) == 2
    assert len(loop.standing) == 1
    assert 0.5 < loop.standing[0].delay < 0.52
    driver.close()
    assert loop.standing == []


def test_a_turn_asks_the_loop_once() -> None:
    loop = Loop()
    driver = Driver(loop, clock=lambda: 100.0)  # type: ignore[arg-type]
    driver.wheel.advance(100.0)
    timer = Timer(lambda now: driver.wheel.arm(timer, now + 1.0))
    driver.wheel.arm(timer, 100.5)
    driver._clock = lambda: 101.0
    loop.standing[0].callback()
    assert len(loop.calls) == 2


def test_a_closed_driver_asks_the_loop_for_nothing_more() -> None:
    loop = Loop()
    driver = Driver(loop, clock=lambda: 100.0)  # type: ignore[arg-type]
    driver.wheel.advance(100.0)
    driver.wheel.arm(Timer(lambda now: driver.close()), 99.0)
    driver.wheel.arm(Timer(lambda now: None), 105.0)
    driver._clock = lambda: 101.0
    loop.standing[0].callback()
    assert len(loop.standing) == 1, "the one that has fired"
