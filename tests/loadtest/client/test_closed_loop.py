"""Callers that send the next request when they have their answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loadtest.client.plan import share
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import Connection, answering, closing, ok, serving
from tests.loadtest.client.runs import at, calling, planned, run


def closed(*phases: tuple[str, int], **fields: Any) -> dict[str, Any]:
    return {"mode": "closed", "phases": [{"for": span, "callers": callers} for span, callers in phases], **fields}


@on_uvloop
async def test_each_caller_has_one_request_under_way():
    under_way = most = 0

    async def counting(connection: Connection) -> None:
        nonlocal under_way, most
        while await connection.request():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.001)
            under_way -= 1
            await connection.send(ok())

    async with serving(counting) as origin:
        found = await run(closed(("300ms", 5), connections=1), at(origin))
        assert origin.connections == 5
        assert len(origin.requests) == found.sent
    assert most == 5
    assert found.counts == {"200": found.sent}
    assert not found.lateness


@on_uvloop
async def test_callers_come_and_go_with_the_phases():
    async def silent_then_ok(connection: Connection) -> None:
        while await connection.request():
            await asyncio.sleep(0.002)
            await connection.send(ok())

    async with serving(silent_then_ok) as origin:
        found = await run(closed(("150ms", 2), ("150ms", 6), ("150ms", 1)), at(origin))
        assert origin.connections == 6
    assert {phase for phase, _ in found.cells} == {0, 1, 2}
    assert found.counts == {"200": found.sent}


@on_uvloop
async def test_a_caller_that_has_no_answer_sends_nothing_more():
    async def silent(connection: Connection) -> None:
        await connection.until_gone()

    async with serving(silent) as origin:
        found = await run(closed(("100ms", 3), timeout="500ms"), at(origin))
        assert origin.connections == 3
    assert found.counts == {"timeout": 3}
    assert found.latencies[0] >= 499_000


@on_uvloop
async def test_failures_do_not_end_a_caller():
    async with serving(closing(b"")) as origin:
        found = await run(closed(("100ms", 2)), at(origin))
        assert len(origin.requests) == found.sent > 4
    assert found.counts == {"closed": found.sent}


@on_uvloop
async def test_without_keep_alive_no_caller_is_lost():
    async with serving(answering(ok())) as origin:
        found = await run(closed(("100ms", 4), keep_alive=False), at(origin))
        assert origin.connections == found.sent > 4
    assert found.counts == {"200": found.sent}


@pytest.mark.parametrize("whole", [1, 2, 7, 128])
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_shares_are_even_and_make_the_whole(whole: int, workers: int):
    shares = [share(whole, worker, workers) for worker in range(workers)]
    assert sum(shares) == whole
    assert max(shares) - min(shares) <= 1


@on_uvloop
async def test_callers_are_shared_by_the_workers():
    async with serving(answering(ok())) as origin:
        targets = {"echo": [at(origin)]}
        plans = [planned(closed(("100ms", 3)), targets, worker=worker, workers=2) for worker in (0, 1)]
        assert [plan.connections for plan in plans] == [2, 1]
        async with calling(plans[0]), calling(plans[1]):
            pass
        assert origin.connections == 3


@on_uvloop
async def test_a_worker_without_callers_is_done_at_the_end():
    async with serving(answering(ok())) as origin:
        plan = planned(closed(("50ms", 1)), {"echo": [at(origin)]}, worker=1, workers=2)
        async with calling(plan) as (_, seen):
            pass
        assert not origin.connections
    assert seen.sent == 0
