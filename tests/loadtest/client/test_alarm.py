"""The timer of the kernel, and waiting without one."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from loadtest.client.alarm import Alarm, BusyAlarm, TimerAlarm
from tests.fakes.loop import on_uvloop, passed
from tests.loadtest.client.runs import files

BOTH = pytest.mark.parametrize("kind", [TimerAlarm, BusyAlarm])


@BOTH
@on_uvloop
async def test_it_never_rings_early_and_rings_for_a_moment_that_has_passed(kind):
    rung: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    moment_s = 0.0

    def ring() -> None:
        if not rung.done():
            rung.set_result(monotonic())
        alarm.silence()

    alarm: Alarm = kind(ring)
    for after_s in (0.0005, 0.0123, 0.05, 0.0, -1.0, -1e9):
        rung = asyncio.get_running_loop().create_future()
        moment_s = monotonic() + after_s
        alarm.set(moment_s)
        assert await rung >= moment_s - 1e-6
    alarm.close()


@BOTH
@on_uvloop
async def test_setting_it_anew_takes_an_expiry_back(kind):
    rings: list[float] = []
    alarm: Alarm = kind(lambda: rings.append(monotonic()))
    alarm.set(monotonic() - 1)
    alarm.set(monotonic() + 3600)
    await passed(0.02)
    assert rings == []
    alarm.set(monotonic() - 1)
    alarm.silence()
    await passed(0.02)
    assert rings == []
    alarm.close()


@BOTH
@on_uvloop
async def test_a_closed_one_is_gone(kind):
    before = files()
    alarm: Alarm = kind(lambda: pytest.fail("it was closed"))
    alarm.set(monotonic() + 0.001)
    alarm.close()
    await passed(0.02)
    assert files() == before
