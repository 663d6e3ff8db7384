"""A Service that is not known yet: its first call waits, within bounds, until the configuration tells of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from meshproxy.policy.message import RequestHead
from meshproxy.proxy import exchange, parking
from meshproxy.wire import resources as wire
from meshproxy.wire.change import Change, Outlook
from meshproxy.wire.snapshot import Entry
from tests.fakes.client import Client, call, connect, connected, request
from tests.fakes.loop import on_uvloop, passed, until
from tests.fakes.origin import Connection, answering, ok, serving
from tests.fakes.places import refusing
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service

GET = request()


class Wanted:
    """Says `outlook` of every Service, and writes down what it was asked for."""

    def __init__(self, outlook: Outlook = Outlook.COMING) -> None:
        self.outlook = outlook
        self.asked: list[tuple[str, str, int | None]] = []

    def __call__(self, namespace: str, name: str, port: int | None) -> Outlook:
        self.asked.append((namespace, name, port))
        return self.outlook


@contextlib.asynccontextmanager
async def following(
    entries: list[Entry] | None = None, outlook: Outlook = Outlook.COMING
) -> AsyncIterator[tuple[Sidecar, Wanted]]:
    """A sidecar that learns of Services as they are called."""
    async with running(entries or []) as sidecar:
        sidecar.stack.want = wanted = Wanted(outlook)
        yield sidecar, wanted


def coming(entries: list[Entry]) -> Change:
    return Change(entries, [], [])


def parked(sidecar: Sidecar, count: int) -> Callable[[], bool]:
    return lambda: len(sidecar.stack.parking) == count


@on_uvloop
async def test_the_first_call_waits_and_succeeds_when_its_service_gets_known() -> None:
    async with serving(answering(ok(b"first"))) as origin, following() as (sidecar, wanted):
        first = asyncio.create_task(call(sidecar.address, request("GET", "/", "echo.default:80")))
        await until(parked(sidecar, 1))
        sidecar.take(coming(service("other", [origin])))
        assert parked(sidecar, 1)()
        sidecar.take(coming(service("echo", [origin])))
        reply = await first
        assert (reply.status, reply.body) == (200, b"first")
        (ended,) = sidecar.finished
        assert (ended.detail, ended.lane.service) == ("", "default/echo:80")
        # Known from here on: nobody is asked.
        assert (await call(sidecar.address, GET)).status == 200
        assert wanted.asked == [("default", "echo", 80)]


@on_uvloop
async def test_a_service_that_is_known_waits_for_its_routes() -> None:
    async with serving(answering(ok())) as origin, following() as (sidecar, wanted):
        head, *rest = service("echo", [origin])
        first = asyncio.create_task(call(sidecar.address, GET))
        await until(parked(sidecar, 1))
        sidecar.take(coming([head]))
        assert parked(sidecar, 1)()
        sidecar.take(coming(rest))
        assert (await first).status == 200
        assert wanted.asked == [("default", "echo", None), ("default", "echo", 80)]


@on_uvloop
async def test_what_is_answered_as_absent_is_no_service() -> None:
    async with following() as (sidecar, wanted):
        first = asyncio.create_task(call(sidecar.address, GET))
        await until(parked(sidecar, 1))
        wanted.outlook = Outlook.ABSENT
        sidecar.take(Change([], ["service/default/echo"], []))
        reply = await first
        assert (reply.status, reply.fault) == (404, "no_service")
        assert (await call(sidecar.address, GET)).status == 404
        # An absent name is asked for again: it may be forgotten, and come to exist, without a word.
        wanted.outlook = Outlook.COMING
        again = asyncio.create_task(call(sidecar.address, GET))
        await until(parked(sidecar, 1))
        sidecar.take(coming(service("echo", [refusing()])))
        assert (await again).fault == "connect_refused"


@on_uvloop
async def test_a_port_that_the_service_turns_out_not_to_have_is_no_port() -> None:
    async with following() as (sidecar, _):
        first = asyncio.create_task(call(sidecar.address, request("GET", "/", "echo:81")))
        await until(parked(sidecar, 1))
        sidecar.take(coming(service("echo", [refusing()])))
        assert (await first).fault == "no_port"


@on_uvloop
async def test_what_is_never_answered_ends_in_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PARK_S", 0.05)
    async with following() as (sidecar, _), connected(sidecar.address) as client:
        for _ in range(2):
            await client.send(GET)
            reply = await client.response()
            assert (reply.status, reply.fault) == (503, "discovery_timeout")
            assert b"Service default/echo" in reply.body
        assert sidecar.slot.outcomes == {(503, "discovery_timeout", ""): 2}


@on_uvloop
async def test_the_bound_counts_from_the_head_however_often_it_is_parked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PARK_S", 0.2)
    async with following() as (sidecar, _):
        first = asyncio.create_task(call(sidecar.address, GET))
        await until(parked(sidecar, 1))
        while not first.done():
            sidecar.take(coming(service("echo", [])[:1]))
            await asyncio.sleep(0.01)
        assert (await first).fault == "discovery_timeout"
        (ended,) = sidecar.finished
        assert ended.now - ended.started_at < 2


@on_uvloop
async def test_a_refused_name_is_refused_at_once() -> None:
    async with following(outlook=Outlook.REFUSED) as (sidecar, wanted):
        reply = await call(sidecar.address, GET)
        assert (reply.status, reply.fault) == (503, "discovery_refused")
        wanted.outlook = Outlook.ABSENT
        assert (await call(sidecar.address, GET)).status == 404


@on_uvloop
async def test_two_thousand_at_once_are_bounded_and_resumed_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the bound allows wait; the others are refused at once, and known Services are not affected."""
    monkeypatch.setattr(exchange, "PARK_S", 20.0)
    backend = wire.Backend(connect_timeout_s=10.0, breaker=wire.Breaker(max_connections=2_000, max_pending=2_000))
    async with serving(answering(ok())) as origin, following(service("known", [origin])) as (sidecar, _):
        clients = [await connect(sidecar.address) for _ in range(2_000)]
        try:
            for client in clients:
                await client.send(GET)
            await until(lambda: len(sidecar.finished) == 2_000 - parking.MAX_PARKED)
            assert {ended.fault.word for ended in sidecar.finished} == {"discovery_refused"}
            assert (await call(sidecar.address, request("GET", "/", "known"))).status == 200
            order = sidecar.stack.parking.waiting_for(("default", "echo"))
            assert [one.started_at for one in order] == sorted(one.started_at for one in order)
            sidecar.finished.clear()
            sidecar.take(coming(service("echo", [origin], backend=backend)))
            await until(lambda: len(sidecar.finished) == parking.MAX_PARKED)
            assert {ended.status for ended in sidecar.finished} == {200}
        finally:
            for client in clients:
                client.close()


@on_uvloop
async def test_a_big_body_is_held_back_while_it_is_parked_and_passed_on_whole() -> None:
    body = bytes(range(256)) * 8_192
    async with serving(_echoing) as origin, following() as (sidecar, _), connected(sidecar.address) as client:
        sending = asyncio.create_task(client.send(request("POST", "/", "echo", f"content-length: {len(body)}") + body))
        await until(parked(sidecar, 1))
        await until(lambda: not sidecar.downstream._is_reading)
        (waiting,) = sidecar.stack.parking.waiting_for(("default", "echo"))
        assert waiting.replay_bytes <= exchange.REPLAY_BYTES + 262_144
        sidecar.take(coming(service("echo", [origin])))
        await sending
        assert (await client.response("POST")).body == body


@on_uvloop
async def test_a_big_body_for_what_is_absent_is_answered_before_its_end() -> None:
    async with following() as (sidecar, wanted), connected(sidecar.address) as client:
        await client.send(request("POST", "/", "echo", "content-length: 50000000"))
        flood = asyncio.create_task(client.send(b"x" * 50_000_000))
        await until(parked(sidecar, 1))
        await until(lambda: not sidecar.downstream._is_reading)
        wanted.outlook = Outlook.ABSENT
        sidecar.take(Change([], ["service/default/echo"], []))
        assert (await client.response("POST")).fault == "no_service"
        with contextlib.suppress(ConnectionError):
            await flood


@on_uvloop
async def test_a_chunked_body_with_trailers_that_was_complete_before_is_passed_on_whole() -> None:
    async with serving(_echoing) as origin, following() as (sidecar, _), connected(sidecar.address) as client:
        head = request("POST", "/", "echo", "transfer-encoding: chunked", "trailer: x-sum")
        await client.send(head + b"3\r\nabc\r\n")
        await until(parked(sidecar, 1))
        await client.send(b"2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n")
        await until(lambda: sidecar.downstream.exchange.is_request_complete)
        sidecar.take(coming(service("echo", [origin])))
        reply = await client.response("POST")
        assert reply.body == b"abcde"
        assert origin.requests[0].trailers == [("x-sum", "5")]


@on_uvloop
async def test_a_client_that_goes_away_leaves_its_place() -> None:
    async with following() as (sidecar, _):
        for leave in (Client.close, Client.reset, Client.half_close):
            client = await connect(sidecar.address)
            await client.send(GET)
            await until(parked(sidecar, 1))
            leave(client)
            await until(parked(sidecar, 0))
            client.close()
        await until(lambda: len(sidecar.finished) == 3)
        assert [ended.fault.word for ended in sidecar.finished] == ["client_gone"] * 3


@on_uvloop
async def test_a_body_that_breaks_the_rules_while_parked_is_refused() -> None:
    async with following() as (sidecar, _), connected(sidecar.address) as client:
        await client.send(request("POST", "/", "echo", "transfer-encoding: chunked"))
        await until(parked(sidecar, 1))
        await client.send(b"nonsense\r\n")
        assert (await client.response("POST")).fault == "bad_request"
        assert parked(sidecar, 0)()


@on_uvloop
async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with (
        serving(answering(ok(b"known"))) as known,
        serving(answering(ok(b"echo"))) as origin,
        following(service("known", [known])) as (sidecar, _),
        connected(sidecar.address) as client,
    ):
        await client.send(GET + request("GET", "/", "known") + GET)
        await until(parked(sidecar, 1))
        sidecar.take(coming(service("echo", [origin])))
        assert [(await client.response()).body for _ in range(3)] == [b"echo", b"known", b"echo"]


@on_uvloop
async def test_a_service_that_is_forgotten_is_asked_for_again() -> None:
    async with serving(answering(ok())) as origin, following() as (sidecar, wanted):
        entries = service("echo", [origin])
        sidecar.take(coming(entries))
        assert (await call(sidecar.address, GET)).status == 200
        sidecar.take(Change([], [], [entry.name for entry in entries]))
        again = asyncio.create_task(call(sidecar.address, GET))
        await until(parked(sidecar, 1))
        sidecar.take(coming(entries))
        assert (await again).status == 200
        assert wanted.asked == [("default", "echo", None)]


@on_uvloop
async def test_a_defect_while_resuming_costs_one_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(answering(ok())) as origin, following() as (sidecar, _):
        fields_to_add = sidecar.stack.fields_to_add

        def breaking(head: RequestHead) -> bytes:
            if head.line.path == b"/1":
                raise ZeroDivisionError
            return fields_to_add(head)

        monkeypatch.setattr(sidecar.stack, "fields_to_add", breaking)
        calls = []
        for n in range(3):
            calls.append(asyncio.create_task(call(sidecar.address, request("GET", f"/{n}"))))
            await until(parked(sidecar, n + 1))
        sidecar.take(coming(service("echo", [origin])))
        assert [(await one).status for one in calls] == [200, 500, 200]
        assert len(sidecar.defects) == 1
        sidecar.defects.clear()


@on_uvloop
async def test_without_anybody_to_ask_what_is_not_known_does_not_exist() -> None:
    async with running(service("echo", [refusing()])) as sidecar:
        reply = await call(sidecar.address, request("GET", "/", "other"))
        assert (reply.status, reply.fault) == (404, "no_service")
        assert b"other" in sidecar.stack.destinations
        await passed(0)


async def _echoing(connection: Connection) -> None:
    while (head := await connection.head()) is not None:
        await connection.send(ok(await connection.body(head)))
