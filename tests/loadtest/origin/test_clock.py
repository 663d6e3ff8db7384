"""Timers between the event loop's milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from time import monotonic

import pytest

from loadtest.origin.clock import Clock


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    clock = Clock(asyncio.get_running_loop())
    yield clock
    clock.close()


class Calls(list[tuple[float, float]]):
    """When each was due and came, in the order of coming."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self.all = asyncio.get_running_loop().create_future()

    def on_due(self, due: float) -> None:
        self.append((due, monotonic()))
        if len(self) == self._count:
            self.all.set_result(None)


async def test_calls_come_in_order_of_time_whatever_the_order_of_asking_and_never_early(clock: Clock) -> None:
    chance = Random(1)
    begin = monotonic() + 0.05
    dues = [begin + chance.random() / 5 for _ in range(300)]
    calls = Calls(len(dues))
    for due in dues:
        clock.at(due, calls.on_due, due)
    await asyncio.wait_for(calls.all, 10)
    assert [due for due, _ in calls] == sorted(dues)
    assert all(came >= due for due, came in calls)


async def test_what_is_asked_for_later_and_due_earlier_does_not_wait(clock: Clock) -> None:
    calls = Calls(1)
    clock.at(monotonic() + 3600, calls.on_due, 1.0)
    clock.at(monotonic() + 0.01, calls.on_due, 2.0)
    await asyncio.wait_for(calls.all, 10)
    assert [due for due, _ in calls] == [2.0]


async def test_what_is_due_at_one_moment_comes_in_the_order_of_asking(clock: Clock) -> None:
    calls = Calls(20)
    moment = monotonic() + 0.01
    for number in range(20):
        clock.at(moment, calls.on_due, float(number))
    await asyncio.wait_for(calls.all, 10)
    assert [due for due, _ in calls] == list(range(20))


async def test_one_call_that_fails_takes_no_other_with_it(clock: Clock) -> None:
    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context["exception"]))
    calls = Calls(2)

    def ask(_: None) -> None:
        clock.at(0.0, calls.on_due, 1.0)  # for the next turn, and put off already when the second one fails

    def fail(_: None) -> None:
        raise ValueError

    moment = monotonic() + 0.01
    clock.at(moment, ask, None)
    clock.at(moment, fail, None)
    clock.at(moment + 0.01, calls.on_due, 2.0)
    await asyncio.wait_for(calls.all, 10)
    assert [type(error) for error in failed] == [ValueError]
    assert [due for due, _ in calls] == [1.0, 2.0]


async def test_what_is_past_comes_in_another_turn_and_the_loop_lives_meanwhile(clock: Clock) -> None:
    turns = 0
    ended = asyncio.Event()

    def on_due(_: None) -> None:
        nonlocal turns
        turns += 1
        if not ended.is_set():
            clock.at(0.0, on_due, None)

    clock.at(0.0, on_due, None)
    assert turns == 0
    asyncio.get_running_loop().call_later(0.02, ended.set)
    await asyncio.wait_for(ended.wait(), 10)
    assert turns > 1
