"""Connections to endpoints: kept, bounded in age and rest, and closed when anything happens to them."""

from __future__ import annotations

import asyncio

import pytest

from meshproxy.wire import resources as wire
from tests.fakes.client import call, connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, answering, closing, ok, serving
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service


async def _at_once(sidecar: Sidecar, count: int) -> list[int]:
    replies = await asyncio.gather(*[call(sidecar.address, request()) for _ in range(count)])
    return [reply.status for reply in replies]


@on_uvloop
async def test_one_connection_serves_the_requests_of_many_clients() -> None:
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        for _ in range(10):
            assert (await call(sidecar.address, request())).status == 200
        assert origin.connections == 1


@on_uvloop
async def test_requests_at_one_time_get_connections_of_their_own() -> None:
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        while await connection.request():
            await go.wait()
            await connection.send(ok())

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        calls = asyncio.create_task(_at_once(sidecar, 20))
        await until(lambda: len(origin.requests) == 20)
        go.set()
        assert await calls == [200] * 20
        assert origin.connections == 20
        assert await _at_once(sidecar, 20) == [200] * 20
        assert origin.connections == 20


@on_uvloop
async def test_a_connection_that_rests_too_long_is_closed() -> None:
    backend = wire.Backend(pool=wire.Pool(idle_s=0.05))
    async with serving(answering(ok())) as origin, running(service("echo", [origin], backend=backend)) as sidecar:
        assert (await call(sidecar.address, request())).status == 200
        await until(lambda: sidecar.upstreams_open == 0 and origin.open == 0)
        (pool,) = sidecar.backend().pools
        assert (pool.idle, pool.open) == (0, 0)
        assert (await call(sidecar.address, request())).status == 200
        assert origin.connections == 2


@on_uvloop
async def test_a_connection_in_use_is_not_closed_for_resting() -> None:
    backend = wire.Backend(pool=wire.Pool(idle_s=0.03))
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        while one := await connection.request():
            if one.target == "/slow":
                await go.wait()
            await connection.send(ok())

    async with serving(script) as origin, running(service("echo", [origin], backend=backend)) as sidecar:
        async with connected(sidecar.address) as client:
            await client.get()
            await client.send(request("GET", "/slow"))
            then = asyncio.get_running_loop().time()
            await until(lambda: asyncio.get_running_loop().time() - then > 0.1)
            go.set()
            assert (await client.response()).status == 200
        assert origin.connections == 1


@on_uvloop
async def test_a_connection_past_its_age_is_not_used_again() -> None:
    backend = wire.Backend(pool=wire.Pool(max_age_s=0.05))
    async with serving(answering(ok())) as origin, running(service("echo", [origin], backend=backend)) as sidecar:
        async with connected(sidecar.address) as client:
            then = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() - then < 0.3:
                assert (await client.get()).status == 200
        assert 4 <= origin.connections <= 10


@on_uvloop
@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_that_the_endpoint_will_close_is_not_used_again(reply: bytes) -> None:
    async with (
        serving(answering(reply)) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        for n in range(3):
            answer = await client.get()
            assert (answer.body, answer.all("connection")) == (b"ok", [])
            assert origin.connections == n + 1


@on_uvloop
async def test_an_http_1_0_endpoint_that_keeps_its_connection_is_used_again() -> None:
    reply = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\ncontent-length: 2\r\n\r\nok"
    async with serving(answering(reply)) as origin, running(service("echo", [origin])) as sidecar:
        for _ in range(3):
            assert (await call(sidecar.address, request())).body == b"ok"
        assert origin.connections == 1


@on_uvloop
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_an_idle_connection_that_ends_is_dropped(end: str) -> None:
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(ok())
        await go.wait()
        getattr(connection, end)()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        assert (await call(sidecar.address, request())).status == 200
        await until(lambda: sidecar.upstreams_open == 1)
        go.set()
        await until(lambda: sidecar.upstreams_open == 0)
        (pool,) = sidecar.backend().pools
        assert pool.idle == 0
        assert (await call(sidecar.address, request("POST", "/", "echo", "content-length: 0"))).status == 200
        assert sidecar.slot.retries == {}


@on_uvloop
async def test_a_connection_given_back_goes_to_whoever_waits_and_the_dialed_one_rests() -> None:
    limited = wire.Backend(breaker=wire.Breaker(max_connections=1))
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        while await connection.request():
            await go.wait()
            await connection.send(ok())

    async with serving(script) as origin, running(service("echo", [origin], backend=limited)) as sidecar:
        first = asyncio.create_task(call(sidecar.address, request()))
        await until(lambda: origin.requests)
        refused = await call(sidecar.address, request())
        assert (refused.status, refused.fault) == (503, "overloaded")
        go.set()
        assert (await first).status == 200
        assert (await call(sidecar.address, request())).status == 200
        assert origin.connections == 1


@on_uvloop
async def test_requests_past_the_breaker_are_refused_and_no_others() -> None:
    limited = wire.Backend(breaker=wire.Breaker(max_requests=3))
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        while await connection.request():
            await go.wait()
            await connection.send(ok())

    async with serving(script) as origin, running(service("echo", [origin], backend=limited)) as sidecar:
        calls = asyncio.create_task(_at_once(sidecar, 10))
        await until(lambda: len(sidecar.finished) == 7)
        await until(lambda: len(origin.requests) == 3)
        go.set()
        assert sorted(await calls) == [200] * 3 + [503] * 7
        assert {one.fault.word for one in sidecar.finished if one.fault} == {"overloaded"}


@on_uvloop
async def test_connections_to_an_endpoint_that_is_gone_end_with_their_exchange() -> None:
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        while one := await connection.request():
            if one.target == "/slow":
                await go.wait()
            await connection.send(ok(b"old"))

    async with (
        serving(script) as old,
        serving(answering(ok(b"new"))) as new,
        running(service("echo", [old])) as sidecar,
    ):
        slow = asyncio.create_task(call(sidecar.address, request("GET", "/slow")))
        await until(lambda: old.requests)
        assert (await call(sidecar.address, request())).body == b"old"
        assert old.open == 2
        sidecar.use(service("echo", [new]))
        await until(lambda: old.open == 1)
        assert (await call(sidecar.address, request())).body == b"new"
        go.set()
        assert (await slow).body == b"old"
        await until(lambda: old.open == 0)


@on_uvloop
async def test_an_idle_connection_to_another_endpoint_makes_way_at_the_limit() -> None:
    limited = wire.Backend(breaker=wire.Breaker(max_connections=2))
    async with (
        serving(answering(ok())) as one,
        serving(closing(ok())) as two,
        running(service("echo", [one, two], backend=limited)) as sidecar,
    ):
        for _ in range(30):
            assert (await call(sidecar.address, request())).status == 200
        assert one.requests
        assert two.requests
