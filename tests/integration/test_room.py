"""A bound of one connection: what is as good as closed takes no room, and one exchange's defect is not another's."""

from __future__ import annotations

import asyncio

import pytest

from meshproxy.proxy.connect import Connector
from meshproxy.proxy.exchange import Exchange
from meshproxy.proxy.upstream import Upstream
from meshproxy.wire import resources as wire
from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, answering, ok, serving
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service

ONE = wire.Backend(breaker=wire.Breaker(max_connections=1))


@on_uvloop
async def test_a_kept_connection_that_ends_as_it_is_used_makes_way_for_the_next() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(ok())
        if connection.number == 0:
            await connection.request()
        else:
            await connection.until_gone()

    async with (
        serving(script) as origin,
        running(service("echo", [origin], backend=ONE)) as sidecar,
        connected(sidecar.address) as client,
    ):
        for _ in range(2):
            assert (await client.get()).status == 200
        assert (origin.connections, dict(sidecar.slot.retries)) == (2, {"reused": 1})


@on_uvloop
async def test_an_attempt_that_is_broken_off_makes_way_for_the_next() -> None:
    async def script(connection: Connection) -> None:
        one = await connection.request()
        if one is not None and one.target == "/hangs":
            await connection.until_gone()
        else:
            await connection.send(ok())

    async with (
        serving(script) as origin,
        running(service("echo", [origin], backend=ONE, timeouts=wire.Timeouts(request_s=0.1))) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(request("GET", "/hangs") + request("GET", "/answers"))
        assert (await client.response()).status == 504
        assert (await client.response()).status == 200


@on_uvloop
async def test_who_hands_a_connection_on_does_not_pay_for_the_next_ones_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    may_dial, answer = asyncio.Event(), asyncio.Event()
    may_dial.set()
    connect = Connector.connect
    defect = ZeroDivisionError("of the second")

    async def gated(self: Connector, upstream: Upstream, backend: str, spec: wire.Endpoint) -> None:
        await may_dial.wait()
        await connect(self, upstream, backend, spec)

    async def script(connection: Connection) -> None:
        while await connection.request():
            await answer.wait()
            await connection.send(ok())

    def broken(self: Upstream, exchange: Exchange) -> None:
        raise defect

    monkeypatch.setattr(Connector, "connect", gated)
    async with (
        serving(script) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as first,
        connected(sidecar.address) as second,
    ):
        await first.send(request())
        await until(lambda: origin.requests)
        may_dial.clear()
        await second.send(request())
        await until(lambda: sidecar.backend().pending == 1)
        monkeypatch.setattr(Upstream, "begin", broken)
        answer.set()
        assert (await first.response()).status == 200
        reply = await second.response()
        assert (reply.status, reply.fault) == (500, "internal")
        assert sidecar.defects == [defect]
        sidecar.defects.clear()


@on_uvloop
async def test_a_connection_made_in_the_moment_of_its_timeout_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop closes it without a word to its protocol."""
    made = Upstream.connection_made

    def timed_out(self: Upstream, transport: asyncio.BaseTransport) -> None:
        made(self, transport)
        for dial in list(self.pool._dials):
            dial._on_timeout(0.0)

    async with (
        serving(answering(ok())) as origin,
        running(service("echo", [origin], backend=ONE)) as sidecar,
        connected(sidecar.address) as client,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Upstream, "connection_made", timed_out)
            reply = await client.get()
            assert (reply.status, reply.fault) == (504, "connect_timeout")
        assert sidecar.upstreams_open == 0
        assert (await client.get()).status == 200
