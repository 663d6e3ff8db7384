"""One worker's load: sends what is due, gives up what is late, and counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from time import monotonic

from loadtest.client.call import Call
from loadtest.client.pace import ClosedLoop, OpenLoop, Pace
from loadtest.client.plan import Address, Plan
from loadtest.client.pool import Pool
from loadtest.client.slow import TICK_S
from loadtest.client.tally import Tally
from loadtest.messages import Report


class Caller:
    """Carries out a plan on the running loop, once.

    After `start`, `done` becomes the number of requests when every one has its outcome. `take` tells what was counted
    since it was last asked; `stop` gives up what is under way.
    """

    def __init__(self, plan: Plan) -> None:
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[int] = self._loop.create_future()
        self._tally = Tally(plan.bin_s, plan.successes, [phase.measured for phase in plan.load.phases])
        self._pools = {
            origin: Pool(addresses, plan.turn, plan.connections, plan.load.timeout, self._settle)
            for origin, addresses in plan.addresses.items()
        }
        self._choose = plan.chooser()
        self._pace: Pace = (
            ClosedLoop(plan.shifts, self._send)
            if plan.shifts
            else OpenLoop(plan.starts(), self._send, self._tally.late, busy=plan.load.busy_poll)
        )
        self._tick: asyncio.TimerHandle | None = None
        self._at_s = 0.0
        self._cpu_s = 0.0
        self.count = 0
        """Requests that were due so far; their numbers are below it."""

    def start(self, at_s: float) -> None:
        """The run starts at this moment of CLOCK_MONOTONIC."""
        self._at_s = at_s
        self._cpu_s = time.process_time()
        for pool in self._pools.values():
            pool.start(at_s)
        self._pace.start(at_s)
        self._tick = self._loop.call_later(TICK_S, self._on_tick)

    def retarget(self, origin: str, addresses: Sequence[Address]) -> None:
        """From now on new connections for the origin go to these; nothing happens for one that is not called."""
        if origin in self._pools:
            self._pools[origin].retarget(addresses)

    def stop(self) -> None:
        """Sends nothing more, and gives up what has no answer yet."""
        self._pace.stop()
        now_s = monotonic() - self._at_s
        for pool in self._pools.values():
            pool.stop(now_s)
        self._end()

    def take(self) -> Report:
        """What was counted since the last time; after the end with the chunks that are not full."""
        return Report(
            cells=self._tally.take_cells(),
            lateness=self._tally.take_lateness(),
            chunks=self._tally.take_chunks(rest=self.done.done()),
            open_connections=sum(pool.established for pool in self._pools.values()),
            waiting=sum(pool.waiting for pool in self._pools.values()),
            cpu_s=time.process_time() - self._cpu_s,
        )

    def _send(self, intended_s: float, phase: int) -> None:
        kind = self._choose()
        number = self.count
        self.count = number + 1
        self._pools[kind.origin].send(Call(number, intended_s, phase, kind))

    def _settle(self, call: Call, outcome: int | str, now_s: float, is_sent: bool) -> None:
        self._tally.add(call, outcome, now_s, is_sent)
        self._pace.on_settled()

    def _on_tick(self) -> None:
        now_s = monotonic() - self._at_s
        for pool in self._pools.values():
            pool.tick(now_s)
        if self._pace.is_over and self._tally.settled == self.count:
            self.stop()
        else:
            self._tick = self._loop.call_later(TICK_S, self._on_tick)

    def _end(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
        if not self.done.done():
            self.done.set_result(self.count)
