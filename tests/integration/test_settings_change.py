"""A backend whose settings change is another one from then on; what began on the former ends on it."""

from __future__ import annotations

import asyncio

from meshproxy.wire import resources as wire
from tests.fakes.client import call, connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, answering, ok, serving, status
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service

QUICK = wire.Pool(idle_s=0.05)
RETRY = wire.Retry(codes=[503], attempts=2)


@on_uvloop
async def test_an_exchange_under_way_finds_another_endpoint_though_the_settings_have_changed() -> None:
    go = asyncio.Event()
    answers = [status(503)]

    async def script(connection: Connection) -> None:
        while await connection.request():
            await go.wait()
            await connection.send(answers.pop() if answers else ok())

    async with (
        serving(script) as one,
        serving(script) as other,
        running(service("echo", [one, other], backend=wire.Backend(pool=QUICK), retry=RETRY)) as sidecar,
        connected(sidecar.address) as client,
    ):
        former = sidecar.backend()
        await client.send(request())
        await until(lambda: one.requests or other.requests)
        fresh = wire.Backend(pool=QUICK, connect_timeout_s=2)
        sidecar.use(service("echo", [one, other], backend=fresh, retry=RETRY))
        go.set()
        reply = await client.response()
        assert (reply.status, reply.body) == (200, b"ok")
        assert (len(one.requests), len(other.requests)) == (1, 1)
        assert sidecar.backend() is not former
        assert (former.active, former.pending) == (0, 0)
        assert (await client.get()).status == 200
        assert sidecar.finished[1].backend is sidecar.backend()


@on_uvloop
async def test_a_closed_pool_counts_against_the_bound_until_its_last_connection_ends() -> None:
    """An endpoint is replaced while it is busy: the bound holds for the connections of both."""
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        while await connection.request():
            await go.wait()
            await connection.send(ok(b"old"))

    bound = wire.Backend(breaker=wire.Breaker(max_connections=1))
    async with (
        serving(script) as old,
        serving(answering(ok(b"new"))) as new,
        running(service("echo", [old], backend=bound)) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(request())
        await until(lambda: old.requests)
        sidecar.use(service("echo", [new], backend=bound))
        reply = await call(sidecar.address, request())
        assert (reply.status, reply.fault) == (503, "overloaded")
        go.set()
        assert (await client.response()).body == b"old"
        assert (await call(sidecar.address, request())).body == b"new"
        assert len(sidecar.backend().pools) == 1
