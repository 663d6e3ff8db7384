"""Latencies that are counted from when a request was due."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, answering, ok, serving
from tests.loadtest.client.runs import Seen, at, calling, open_loop, planned, run

SOON_S = 1.0
"""An answer is read so soon after it was written, however busy the machine is; most are much sooner."""
MOSTLY_SOON_S = 0.1


class Stamped:
    """An origin that says when each request came and when it was answered, by number."""

    def __init__(self) -> None:
        self.came_s: dict[int, float] = {}
        self.answered_s: dict[int, float] = {}

    async def serve(self, connection: Connection) -> None:
        while request := await connection.request():
            number = int(request["x-request-id"].rpartition("-")[2])
            self.came_s[number] = monotonic()
            await self.wait(number)
            self.answered_s[number] = monotonic()
            await connection.send(ok())

    async def wait(self, number: int) -> None:
        raise NotImplementedError


async def sleep_until(moment_s: float) -> None:
    """Not a microsecond less: a loop's timers may be early by one of their ticks."""
    while (left_s := moment_s - monotonic()) > 0:  # noqa: ASYNC110 - a moment, not an event
        await asyncio.sleep(left_s)


class Delaying(Stamped):
    """20 ms for every other request, 40 ms for the rest."""

    async def wait(self, number: int) -> None:
        await sleep_until(self.came_s[number] + self.delay_s(number))

    def delay_s(self, number: int) -> float:
        return 0.02 if number % 2 == 0 else 0.04


class Stalling(Stamped):
    """Answers nothing from the moment `begin_s` on, until it is a second later; and at once otherwise."""

    begin_s = float("inf")

    async def wait(self, number: int) -> None:
        if self.came_s[number] >= self.begin_s:
            await sleep_until(self.begin_s + 1)


def by_request(seen: Seen) -> list[int]:
    """The latency of each request, in microseconds: there is one in a bin."""
    found = []
    for number in range(seen.sent):
        (latency,) = seen.cells[0, number]["all"].elements()
        found.append(latency)
    return found


def agree(latencies_us: list[int], origin: Stamped, begin_s: float, rate: int) -> None:
    """Every latency is from the moment it was due to the one at which the origin, by its own clock, answered."""
    over_s = []
    for number, latency_us in enumerate(latencies_us):
        answered_s = origin.answered_s[number] - begin_s - number / rate
        over_s.append(latency_us / 1e6 - answered_s)
        assert answered_s * 0.999 - 2e-6 <= latency_us / 1e6 <= answered_s + SOON_S  # three digits are kept
    assert sorted(over_s)[len(over_s) // 2] <= MOSTLY_SOON_S


@on_uvloop
async def test_known_delays_are_measured_as_what_they_are():
    origin, rate = Delaying(), 200
    async with serving(origin.serve) as server:
        begin_s = monotonic() + 0.05
        plan = planned(open_loop(200, rate=rate), {"echo": [at(server)]}, bin_s=1 / rate)
        async with calling(plan, at_s=begin_s) as (_, seen):
            pass
    assert seen.counts == {"200": 200}
    latencies = by_request(seen)
    agree(latencies, origin, begin_s, rate)
    assert all(latency >= origin.delay_s(number) * 1e6 * 0.999 for number, latency in enumerate(latencies))
    for half in (0, 1):
        # And the medians are the delays, when the origin's clock says that it kept them.
        measured, true = (
            sorted(latencies[half::2]),
            [origin.answered_s[n] - origin.came_s[n] for n in range(half, 200, 2)],
        )
        if sorted(true)[60] < origin.delay_s(half) * 1.1:
            assert measured[50] == pytest.approx(origin.delay_s(half) * 1e6, rel=0.25)
    assert seen.total("ok") == seen.total("all")


@pytest.mark.parametrize("connections", [1, 400])
@on_uvloop
async def test_a_stall_is_seen_by_every_request_that_was_due_in_it(connections: int):
    origin, rate = Stalling(), 200
    async with serving(origin.serve) as server:
        begin_s = monotonic() + 0.05
        origin.begin_s = begin_s + 0.25
        load = open_loop(300, rate=rate, connections=connections)
        async with calling(planned(load, {"echo": [at(server)]}, bin_s=1 / rate), at_s=begin_s) as (_, seen):
            pass
    assert seen.counts == {"200": 300}
    latencies = by_request(seen)
    agree(latencies, origin, begin_s, rate)
    for number in range(51, 250):
        # It falls by 5 ms from one to the next, from 1 s to 0.
        left_s = 1.25 - number / rate
        assert left_s * 0.999 <= latencies[number] / 1e6 <= left_s + SOON_S, number
    if connections == 1:
        # What counts from the moment of sending sees one slow request: those due meanwhile were sent after the stall.
        from_sending_s = sorted(origin.answered_s[n] - origin.came_s[n] for n in range(300))
        assert from_sending_s[-1] >= 0.7
        assert from_sending_s[250] < 0.1
        assert sorted(latencies)[250] >= 0.7e6


@on_uvloop
async def test_requests_go_out_when_they_are_due_whatever_became_of_those_before():
    async def silent(connection: Connection) -> None:
        await connection.until_gone()

    async with serving(silent) as origin:
        async with calling(planned(open_loop(100, rate=500), {"echo": [at(origin)]})) as (caller, seen):
            await until(lambda: origin.connections == 100)
            seen.add(caller.take())
            caller.stop()
        assert origin.connections == 100
    assert seen.counts == {"abandoned": 100}


@on_uvloop
async def test_lateness_is_of_every_request_and_not_the_wait_for_a_connection():
    async def slow(connection: Connection) -> None:
        while await connection.request():
            await asyncio.sleep(0.02)
            await connection.send(ok())

    async with serving(slow) as origin:
        found = await run(open_loop(40, rate=400, connections=1), at(origin))
    assert sum(found.lateness.values()) == 40
    assert max(found.latencies) > 500_000
    assert sorted(found.lateness.elements())[20] < 100_000


@on_uvloop
async def test_a_start_that_has_passed_is_lateness():
    async with serving(answering(ok())) as origin:
        plan = planned(open_loop(10, rate=1000), {"echo": [at(origin)]})
        async with calling(plan, at_s=monotonic() - 1) as (_, seen):
            pass
    assert min(seen.lateness) >= 980_000
    assert min(seen.latencies) >= 980_000


@on_uvloop
async def test_phases_are_counted_apart():
    async with serving(answering(ok())) as origin:
        load = {"phases": [{"for": "100ms", "rate": "100/s"}, {"for": "100ms", "from": "100/s", "to": "300/s"}]}
        found = await run(load, at(origin), bin_s=0.1)
    assert {key: sum(cell["counts"].values()) for key, cell in found.cells.items()} == {(0, 0): 10, (1, 1): 20}
