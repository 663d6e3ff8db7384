"""One process's traffic, without anything around it: changes in order and whole, and what it tells of itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator

import pytest

from meshproxy.config import Settings
from meshproxy.kit.aio import slices
from meshproxy.metrics.slots import Registry
from meshproxy.proxy import exchange
from meshproxy.proxy.place import listen
from meshproxy.wire import resources as wire
from meshproxy.wire.change import Change, Outlook
from meshproxy.wire.snapshot import Entry, entry_of
from meshproxy.worker import Worker
from tests.fakes.client import call, connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import answering, ok, serving
from tests.fakes.places import refusing
from tests.fakes.snapshots import service

HERE = ("127.0.0.1", 0)
WORKLOAD = "workload/default/client-1"


@contextlib.asynccontextmanager
async def working(app: tuple[str, int] | None = None, **settings) -> AsyncIterator[tuple[Worker, tuple[str, int]]]:
    """A worker with one side, and where it listens: inbound before `app`, else outbound."""
    side = "inbound" if app else "outbound"
    sock = listen(HERE)
    address = sock.getsockname()
    worker = Worker(
        Settings(
            snapshot=None,
            control=("ws://127.0.0.1:1",),
            namespace="default",
            service_account="client",
            workload="client-1",
            admin=HERE,
            app=app,
            drain_s=settings.pop("drain_s", 0.0),
            **{side: address},
        ),
        Registry(),
    )
    worker.open({side: sock})
    try:
        yield worker, address
    finally:
        await worker.drain()
        await worker.close()
        gc.unfreeze()


def _rules(name: str, version: int, *backends: str) -> list[wire.Rule]:
    return [
        wire.Rule(name=f"default/{name}/v{version}", backends=[wire.RouteBackend(backend=f"default/{one}:80")])
        for one in backends
    ]


@on_uvloop
async def test_changes_take_effect_in_the_order_of_their_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_S", -1.0)
    async with working() as (worker, _):
        calls = [
            worker.apply(Change(service("echo", [refusing()], rules=_rules("echo", n, "echo")), [], []))
            for n in range(20)
        ]
        await asyncio.gather(*calls)
        routes = worker.entries["routes/default/echo:80"].resource
        assert isinstance(routes, wire.Routes)
        assert routes.rules[0].name == "default/echo/v19"
        await worker.apply(Change([], ["routes/default/echo:80", "service/default/echo"], ["backend/default/echo:80"]))
        assert list(worker.entries) == ["endpoints/default/echo:80"]


@on_uvloop
async def test_whoever_looks_sees_all_of_a_change_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the shortest slices there is a turn of the loop, and so perhaps a request, after each step."""
    monkeypatch.setattr(slices, "SLICE_S", -1.0)
    names = [f"s{n}" for n in range(10)]
    async with serving(answering(ok())) as origin, working() as (worker, address), connected(address) as client:

        def version(n: int) -> Change:
            backend = wire.Backend(breaker=wire.Breaker(max_requests=n))
            entries = [
                entry
                for name in names
                for entry in service(name, [origin], backend=backend, rules=_rules(name, n, *names[:3]))
            ]
            return Change(entries, [], [])

        await worker.apply(version(1))
        services = worker.outbound.services
        turns: dict[frozenset[tuple[str, int]], int] = {}

        def look() -> None:
            seen = frozenset(
                (lane.route.rpartition("/")[2], lane.backend.max_requests)
                for destination in services.destinations.values()
                for lane in destination.lanes
            )
            turns[seen] = turns.get(seen, 0) + 1

        for n in range(2, 6):
            applying = asyncio.ensure_future(worker.apply(version(n)))
            while not applying.done():
                look()
                await asyncio.sleep(0)
            await applying
            assert (await client.get(names[n])).status == 200
        assert set(turns) == {frozenset({(f"v{n}", n)}) for n in range(1, 6)}
        assert min(turns.values()) > len(names)


@on_uvloop
async def test_a_change_that_cannot_be_compiled_leaves_everything_as_it_is() -> None:
    async with serving(answering(ok())) as origin, working() as (worker, address):
        await worker.apply(Change(service("echo", [origin]), [], []))
        before = dict(worker.entries)
        bad = wire.RouteMatch(rule=0, path=wire.PathMatch(type="RegularExpression", value="(["))
        with pytest.raises(ValueError, match="not a regular expression"):
            await worker.apply(Change(service("other", [origin], matches=[bad]), ["service/default/echo"], []))
        assert worker.entries == before
        assert (await call(address, request())).status == 200
        await worker.apply(Change(service("other", [origin]), [], []))
        assert (await call(address, request("GET", "/", "other"))).status == 200


@on_uvloop
async def test_what_was_called_is_told_once() -> None:
    async with serving(answering(ok())) as origin, working() as (worker, address):
        await worker.apply(Change([*service("echo", [origin]), *service("idle", [origin])], [], []))
        await call(address, request())
        await call(address, request("GET", "/", "nowhere"))
        assert worker.used() == {"default/echo"}
        assert worker.used() == set()
        rows = list(await worker.rows())
        assert [(row.backend, row.state) for row in rows] == [
            ("default/echo:80", "ready"),
            ("default/idle:80", "ready"),
        ]


@on_uvloop
async def test_an_end_while_requests_are_parked_lets_them_be_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshproxy.proxy.drain.QUIET_S", 0.05)
    async with serving(answering(ok())) as origin, working(drain_s=10.0) as (worker, address):
        worker.want = lambda *_: Outlook.COMING
        waiting = asyncio.create_task(call(address, request()))
        await until(lambda: len(worker.outbound.parking) == 1)
        draining = asyncio.create_task(worker.drain())
        await until(lambda: worker.outbound.is_draining)
        await worker.apply(Change(service("echo", [origin]), [], []))
        reply = await waiting
        assert (reply.status, reply["connection"]) == (200, "close")
        assert await draining == 0


@on_uvloop
async def test_an_end_cuts_short_who_is_parked_past_its_time() -> None:
    async with working() as (worker, address), connected(address) as client:
        worker.want = lambda *_: Outlook.COMING
        await client.send(request())
        await until(lambda: len(worker.outbound.parking) == 1)
        assert await worker.drain() == 1
        assert len(worker.outbound.parking) == 0
        with contextlib.suppress(ConnectionResetError):
            assert await client.read() == b""


@on_uvloop
async def test_an_inbound_side_follows_its_workload_and_says_once_that_it_has_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def workload(port: int, *services: str) -> Entry:
        return entry_of(WORKLOAD, wire.Workload(ports=[wire.WorkloadPort(port=port, services=list(services))]))

    async with serving(answering(ok())) as app, working((app.host, app.port)) as (worker, address):
        with caplog.at_level(logging.WARNING, "meshproxy"):
            await worker.apply(Change([], [], []))
            assert caplog.records == []  # not known is not absent
            await worker.apply(Change([], [WORKLOAD], []))
            await worker.apply(Change([], [WORKLOAD], []))
        assert len(caplog.records) == 1
        assert (await call(address, request())).status == 200
        await worker.apply(Change([workload(address[1], "default/echo:80"), *service("other", [])], [], []))
        held = worker.inbound._default
        await worker.apply(Change(service("third", []), [], []))
        assert worker.inbound._default is held
        assert (await call(address, request())).status == 200
        services = [slot.key[1] for slot in worker.registry.exchanges() if slot.is_used]
        assert services == ["", "default/echo:80"]
        # Its slots are held by what is in use, and by nothing else.
        await worker.apply(Change([workload(address[1], "default/new:80")], [], []))
        assert {slot.key[1] for slot in worker.registry.exchanges() if slot.holders} == {"", "default/new:80"}


@on_uvloop
async def test_what_waits_shows_in_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PARK_S", 0.1)
    async with working() as (worker, address):
        worker.want = lambda *_: Outlook.COMING
        waiting = asyncio.create_task(call(address, request()))
        gauge = worker.registry.families["meshproxy_parked_requests"]
        await until(lambda: dict(gauge.samples()) == {"": 1.0})
        assert (await waiting).fault == "discovery_timeout"
        assert dict(gauge.samples()) == {"": 0.0}
