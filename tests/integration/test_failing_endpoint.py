"""One of three endpoints fails under load, in each of the ways endpoints fail: what callers saw."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from meshproxy.wire import resources as wire
from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import Connection, Origin, Script, answering, ok, serving, status
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service

RULE = {
    "retry": wire.Retry(codes=[500, 502, 503, 504], attempts=2),
    "timeouts": wire.Timeouts(request_s=10, backend_request_s=0.15),
}
CLIENTS = 8
BEFORE, AFTER = 100, 700


async def reset(connection: Connection) -> None:
    await connection.head()
    connection.reset()


async def close(connection: Connection) -> None:
    await connection.head()


async def hang(connection: Connection) -> None:
    await connection.head()
    await connection.until_gone()


async def slow(connection: Connection) -> None:
    while await connection.request():
        await asyncio.sleep(0.1)
        await connection.send(ok())


class Load:
    """Callers that ask one after the other; `statuses` is what they saw."""

    def __init__(self, sidecar: Sidecar, method: str) -> None:
        self.statuses: Counter[int] = Counter()
        self._address = sidecar.address
        self._data = request(method, "/", "echo", "content-length: 0")
        self._left = 0

    async def run(self, count: int) -> None:
        self._left = count
        await asyncio.gather(*[self._caller() for _ in range(CLIENTS)])

    async def _caller(self) -> None:
        async with connected(self._address) as client:
            while self._left > 0:
                self._left -= 1
                await client.send(self._data)
                self.statuses[(await client.response()).status] += 1


async def fail(origin: Origin, way: str) -> None:
    scripts: dict[str, Script] = {
        "resets": reset, "closes": close, "hangs": hang, "slows": slow, "answers 503": answering(status(503)),
    }  # fmt: skip
    if way in ("dies", "refuses"):
        await origin.stop()
    else:
        origin.script = scripts[way]
        origin.cut()


@on_uvloop
@pytest.mark.parametrize("way", ["dies", "resets", "closes", "hangs", "slows", "answers 503"])
async def test_callers_of_a_route_with_retries_see_nothing_of_an_endpoint_that_fails(way: str) -> None:
    async with (
        serving(answering(ok())) as one,
        serving(answering(ok())) as two,
        serving(answering(ok())) as bad,
        running(service("echo", [one, two, bad], **RULE)) as sidecar,
    ):
        load = Load(sidecar, "GET")
        await load.run(BEFORE)
        assert bad.requests
        await fail(bad, way)
        await load.run(AFTER)
        assert load.statuses == {200: BEFORE + AFTER}
        if way != "slows":
            assert 0 < sum(sidecar.slot.retries.values()) < 50


@on_uvloop
@pytest.mark.parametrize(("way", "lost"), [("refuses", 0), ("resets", 30), ("closes", 30), ("answers 503", 30)])
async def test_of_posts_only_those_are_lost_that_may_have_been_executed(way: str, lost: int) -> None:
    async with (
        serving(answering(ok())) as one,
        serving(answering(ok())) as two,
        serving(answering(ok())) as bad,
        running(service("echo", [one, two, bad], **RULE)) as sidecar,
    ):
        load = Load(sidecar, "POST")
        await load.run(BEFORE)
        await fail(bad, way)
        await load.run(AFTER)
        assert load.statuses[200] >= BEFORE + AFTER - lost
        assert sum(load.statuses.values()) == BEFORE + AFTER


@on_uvloop
async def test_an_endpoint_that_comes_back_is_used_again() -> None:
    backend = wire.Backend(outlier=wire.Outlier(base_s=0.05))
    async with (
        serving(answering(ok())) as one,
        serving(answering(ok())) as two,
        serving(reset) as bad,
        running(service("echo", [one, two, bad], backend=backend, **RULE)) as sidecar,
    ):
        load = Load(sidecar, "GET")
        (state,) = [state for state in sidecar.backend().balancer.states if state.spec.port == bad.port]
        while not state.ejected:
            state.load = 1e-9  # else its failures keep it from being drawn often enough
            await load.run(1)
        assert state.failures == 5
        bad.script = answering(ok())
        while state.ejected:
            await load.run(10)
        # Its average remembers the failures for a while: what counts is that it is drawn again.
        state.load = 1e-9
        before = len(bad.requests)
        await load.run(BEFORE)
        assert len(bad.requests) > before
        assert set(load.statuses) == {200}
