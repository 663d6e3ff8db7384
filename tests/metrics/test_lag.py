from __future__ import annotations

import asyncio
import time

import pytest

from meshproxy.metrics import lag
from meshproxy.metrics.lag import LoopLag
from meshproxy.metrics.slots import Registry
from tests.fakes.loop import on_uvloop, until


@on_uvloop
async def test_a_held_up_loop_shows_until_the_window_has_passed():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lag, "INTERVAL_S", 0.01)
        registry = Registry()
        meter = LoopLag(asyncio.get_running_loop(), registry)

        def worst() -> float:
            ((_, value),) = registry.families["meshproxy_event_loop_lag_seconds"].samples()
            return value

        assert worst() == 0.0
        blocked_until = time.monotonic() + 0.08
        while time.monotonic() < blocked_until:
            pass
        await until(lambda: worst() >= 0.06)
        await until(lambda: worst() < 0.06)
        meter.close()
