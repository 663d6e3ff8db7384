"""Which connection a request gets."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
from collections import Counter
from collections.abc import Callable
from time import monotonic

import pytest

from loadtest.client import pool
from loadtest.client.connection import Connection as ClientConnection
from loadtest.messages import SEEN_SUCCESS, SEEN_UNSENT
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, answering, closing, ok, serving
from tests.loadtest.client.runs import RUN, at, calling, files, open_loop, planned, run

KINDS = ("Connection", "HttpResponseParser", "Head", "Call", "Task", "TCPTransport", "traceback", "frame")


@on_uvloop
async def test_no_more_connections_are_open_than_allowed():
    async def slow(connection: Connection) -> None:
        while await connection.request():
            await asyncio.sleep(0.02)
            await connection.send(ok())

    most = 0
    async with serving(slow) as origin:
        async with calling(planned(open_loop(60, rate=1000, connections=3), {"echo": [at(origin)]})) as (caller, seen):
            while not caller.done.done():
                most = max(most, origin.open)
                await asyncio.sleep(0.001)
        assert origin.connections == 3
    assert most == 3
    assert seen.counts == {"200": 60}


@on_uvloop
async def test_a_connection_is_used_again_the_longest_idle_first():
    async with serving(answering(ok())) as first, serving(answering(ok())) as second:
        found = await run(open_loop(10, rate=100, connections=2), {"echo": [at(first), at(second)]})
        # Both addresses get a connection, and then they take turns.
        assert (first.connections, second.connections) == (1, 1)
        assert (len(first.requests), len(second.requests)) == (5, 5)
    assert found.counts == {"200": 10}


@on_uvloop
async def test_workers_begin_with_different_addresses():
    async with serving(answering(ok())) as first, serving(answering(ok())) as second:
        targets = {"echo": [at(first), at(second)]}
        for worker in (0, 1):
            async with calling(planned(open_loop(2), targets, worker=worker, workers=2)):
                pass
        assert [request["x-request-id"] for request in first.requests] == ["run-0-0"]
        assert [request["x-request-id"] for request in second.requests] == ["run-1-0"]


@on_uvloop
async def test_a_new_target_gets_the_new_connections_and_open_ones_stay():
    async with serving(answering(ok())) as old, serving(answering(ok())) as new:
        load = open_loop(20_000, rate=400, connections=1)
        async with calling(planned(load, {"echo": [at(old)]})) as (caller, seen):
            await until(lambda: old.requests)
            caller.retarget("echo", [(new.host, new.port)])
            before = len(old.requests)
            await until(lambda: len(old.requests) > before + 5)
            assert not new.connections
            old.cut()
            await until(lambda: len(new.requests) > 5)
            assert old.connections == 1
            caller.retarget("nobody", [(new.host, new.port)])
            caller.stop()
    assert sum(seen.counts.values()) == seen.sent


@on_uvloop
async def test_those_that_wait_are_served_first_come_first_served():
    async with serving(answering(ok())) as origin:
        # All are due at once, as far as one connection is concerned.
        found = await run(open_loop(50, rate=20_000, connections=1), at(origin))
        assert [request["x-request-id"] for request in origin.requests] == [f"{RUN}-0-{n}" for n in range(50)]
    assert found.counts == {"200": 50}


@on_uvloop
async def test_more_than_may_wait_are_unsent_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pool, "MOST_WAITING", 20)
    go = asyncio.Event()

    async def after_go(connection: Connection) -> None:
        while await connection.request():
            await go.wait()
            await connection.send(ok())

    async with serving(after_go) as origin:
        plan = planned(open_loop(50, rate=1000, connections=1), {"echo": [at(origin)]})
        async with calling(plan) as (caller, seen):
            await until(lambda: caller.count == 50)
            report = caller.take()
            seen.add(report)
            go.set()
    assert report.waiting == 20
    assert seen.counts == {"200": 21, "unsent": 29}
    assert seen.bytes_seen == [SEEN_SUCCESS] * 21 + [SEEN_UNSENT] * 29


@on_uvloop
async def test_a_run_leaves_no_connection_and_no_file_open():
    async with serving(answering(ok())) as origin:
        await run(open_loop(5), at(origin))  # what the loop itself opens once
        await until(lambda: not origin.open)
        before = files()
        await run(open_loop(40, rate=400, connections=5), at(origin))
        await until(lambda: not origin.open)
        await until(lambda: files() == before)


@on_uvloop
async def test_connections_are_freed_without_the_collector_of_garbage():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        nobody = f"127.0.0.1:{sock.getsockname()[1]}"

    def left() -> Counter[str]:
        found = Counter(type(each).__name__ for each in gc.get_objects())
        return Counter({name: found[name] for name in KINDS})

    async def silent(connection: Connection) -> None:
        await connection.until_gone()

    async with serving(answering(ok())) as origin, serving(silent) as nothing:
        gc.collect()
        gc.disable()
        try:
            before = left()
            for target, fields in (
                (at(origin), {"keep_alive": False}),
                (at(origin), {"requests": [{"method": "HEAD"}]}),
                (at(nothing), {"timeout": "50ms", "connections": 100}),
                (nobody, {}),
            ):
                await run(open_loop(50, rate=1000, **fields), target)
                await until(lambda: not origin.open and not nothing.open)
                await asyncio.sleep(0)
                assert left() == before, (target, fields)
        finally:
            gc.enable()


@on_uvloop
async def test_connections_that_ended_while_they_were_idle_are_forgotten():
    async with serving(closing(ok())) as origin:
        load = open_loop(40, rate=200, connections=2)
        async with calling(planned(load, {"echo": [at(origin)]})) as (caller, seen):
            (pool_,) = caller._pools.values()
            await until(lambda: caller._tally.settled == 40)
            await until(lambda: not pool_.open)
            assert not pool_._idle
    assert seen.counts.keys() <= {"200", "closed", "reset"}


@pytest.mark.parametrize("end", [Connection.close, Connection.reset])
@on_uvloop
async def test_a_connection_that_is_known_to_have_ended_is_not_used(end: Callable[[Connection], None]):
    async def ends_as_the_next_is_due(connection: Connection) -> None:
        assert await connection.request()
        await connection.send(ok())
        if connection.number == 0:
            await until(lambda: caller._tally.settled == 1)
            end(connection)
            while monotonic() < begin_s + 0.51:
                pass  # the loop hears of both in one turn, of the end first
        else:
            await connection.until_gone()

    async with serving(ends_as_the_next_is_due) as origin:
        begin_s = monotonic()
        plan = planned(open_loop(2, rate=2), {"echo": [at(origin)]})
        async with calling(plan, at_s=begin_s) as (caller, seen):
            pass
        assert [request.connection for request in origin.requests] == [0, 1]
    assert seen.counts == {"200": 2}


@pytest.mark.parametrize(
    ("error", "outcome", "warnings"),
    [
        (OSError(errno.EHOSTUNREACH, "no route"), "connect_timeout", 1),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "refused", 0),
        (ConnectionResetError(errno.ECONNRESET, "reset by peer"), "reset", 0),
        (OSError(errno.EADDRNOTAVAIL, "no port is left"), "no_socket", 1),
        (OSError(errno.EMFILE, "too many files"), "no_socket", 1),
    ],
)
@on_uvloop
async def test_a_dial_that_fails_is_told_by_whose_fault_it_is(
    error: OSError, outcome: str, warnings: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(ClientConnection, "dial", fails)
    found = await run(open_loop(5), "127.0.0.1:1")
    assert found.counts == {outcome: 5}
    assert found.bytes_seen == [SEEN_UNSENT] * 5
    assert [str(error.strerror) in record.getMessage() for record in caplog.records] == [True] * warnings
