"""The order of a sidecar's end: nothing that is under way loses what it still needs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from meshproxy.proxy import downstream, drain
from meshproxy.proxy.drain import Side
from tests.fakes.client import Reply, call, connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, answering, ok, serving
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "QUIET_S", 0.05)
    monkeypatch.setattr(drain, "TICK_S", 0.005)
    monkeypatch.setattr(downstream, "RECENT_S", 0.02)


class App:
    """An application that calls another Service, through its own sidecar, before it answers."""

    def __init__(self) -> None:
        self.outbound: tuple[str, int] = ("", 0)
        self.go = asyncio.Event()
        self.call: Reply | None = None

    async def script(self, connection: Connection) -> None:
        while await connection.request():
            await self.go.wait()
            self.call = await call(self.outbound, request())
            await connection.send(ok(b"%d" % self.call.status))


def _is_accepting(sidecar: Sidecar) -> bool:
    return sidecar._sock.fileno() >= 0


def _side(sidecar: Sidecar) -> Side:
    return Side(sidecar.stack, sidecar.listener)


@contextlib.asynccontextmanager
async def workload(app: App) -> AsyncIterator[tuple[Sidecar, Sidecar]]:
    """The application's two sides, as (inbound, outbound)."""
    async with (
        serving(app.script) as own,
        serving(answering(ok(b"other"))) as other,
        running(app=(own.host, own.port)) as inbound,
        running(service("echo", [other])) as outbound,
    ):
        app.outbound = outbound.address
        yield inbound, outbound


@on_uvloop
@pytest.mark.parametrize("order", [1, -1], ids=["inbound first", "outbound first"])
async def test_what_inbound_still_works_on_can_call_others(order: int) -> None:
    app = App()
    async with workload(app) as (inbound, outbound), connected(inbound.address) as client:
        await client.send(request())
        await until(lambda: inbound.stack.active)
        draining = asyncio.create_task(drain.drain([_side(inbound), _side(outbound)][::order], 20))
        await until(lambda: not _is_accepting(inbound))
        app.go.set()
        reply = await client.response()
        assert (reply.status, reply.body, reply["connection"]) == (200, b"200", "close")
        assert await draining == 0
        assert app.call is not None
        assert app.call["connection"] == "close"
        assert not _is_accepting(outbound)


@on_uvloop
async def test_idle_outbound_connections_stay_until_inbound_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App()
    looks: list[str] = []
    end_if_idle = downstream.Downstream.end_if_idle

    def look(self: downstream.Downstream) -> None:
        looks.append(self.stack.direction)
        end_if_idle(self)

    monkeypatch.setattr(downstream, "RECENT_S", 0.0)
    monkeypatch.setattr(downstream.Downstream, "end_if_idle", look)
    async with (
        workload(app) as (inbound, outbound),
        connected(inbound.address) as client,
        connected(outbound.address) as idle,
    ):
        assert (await idle.get()).body == b"other"
        await client.send(request())
        await until(lambda: inbound.stack.active)
        draining = asyncio.create_task(drain.drain([_side(outbound), _side(inbound)], 20))
        await until(lambda: len(looks) >= 5)
        assert set(looks) == {"inbound"}
        reply = await idle.get()
        assert (reply.body, reply["connection"]) == (b"other", "close")
        assert await idle.rest() == b""
        app.go.set()
        assert (await client.response()).status == 200
        assert await draining == 0


@on_uvloop
async def test_a_connection_accepted_during_the_drain_is_answered_though_it_speaks_late() -> None:
    app = App()
    app.go.set()
    async with workload(app) as (inbound, outbound):
        draining = asyncio.create_task(drain.drain([_side(inbound), _side(outbound)], 20))
        await until(lambda: inbound.stack.is_draining)
        async with connected(inbound.address) as client:
            await until(lambda: not _is_accepting(inbound))
            assert inbound.listener.halfway == 1
            reply = await client.get()
            assert (reply.status, reply["connection"]) == (200, "close")
            assert await client.rest() == b""
        assert await draining == 0


@on_uvloop
async def test_when_the_time_is_over_what_is_left_is_cut_and_counted() -> None:
    app = App()
    async with workload(app) as (inbound, outbound), connected(inbound.address) as client:
        await client.send(request())
        await until(lambda: inbound.stack.active)
        assert await drain.drain([_side(inbound), _side(outbound)], 0.1) == 1
        with contextlib.suppress(ConnectionError):
            assert await client.rest() == b""
        await until(lambda: not inbound.stack.connections)
        assert [one.fault.word for one in inbound.finished] == ["client_gone"]
