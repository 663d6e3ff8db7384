"""Deadlines: the route's, the attempt's, the client's head, and that of standing still."""

from __future__ import annotations

import asyncio
import socket

import pytest

from meshproxy.proxy import downstream, exchange
from meshproxy.wire import resources as wire
from tests.fakes.client import call, connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, answering, ok, serving, status
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service

GET = request()


async def hang(connection: Connection) -> None:
    await connection.head()
    await connection.until_gone()


async def begin_and_hang(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
    await connection.until_gone()


@on_uvloop
async def test_the_request_timeout_ends_a_request_that_gets_no_answer() -> None:
    timeouts = wire.Timeouts(request_s=0.05)
    async with (
        serving(hang) as origin,
        running(service("echo", [origin], timeouts=timeouts)) as sidecar,
        connected(sidecar.address) as client,
    ):
        for n in range(2):
            reply = await client.get()
            assert (reply.status, reply.fault) == (504, "request_timeout")
            await until(lambda: origin.open == 0)
            assert len(origin.requests) == n + 1


@on_uvloop
async def test_a_connection_goes_on_after_a_timeout_and_is_closed_when_it_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(downstream, "IDLE_S", 0.1)
    timeouts = wire.Timeouts(request_s=0.03)
    async with (
        serving(hang) as origin,
        running(service("echo", [origin], timeouts=timeouts)) as sidecar,
        connected(sidecar.address) as client,
    ):
        for _ in range(2):
            assert (await client.get()).fault == "request_timeout"
        assert await client.rest() == b""


@on_uvloop
async def test_the_request_timeout_cuts_an_answer_that_does_not_end() -> None:
    timeouts = wire.Timeouts(request_s=0.05)
    async with serving(begin_and_hang) as origin, running(service("echo", [origin], timeouts=timeouts)) as sidecar:
        reply = await call(sidecar.address, GET)
        assert (reply.status, reply.body, reply.is_complete) == (200, b"abc", False)
        assert sidecar.finished[0].fault.word == "request_timeout"


@on_uvloop
async def test_an_attempt_that_takes_too_long_is_repeated_elsewhere_within_the_request_timeout() -> None:
    rule = {"timeouts": wire.Timeouts(request_s=5, backend_request_s=0.05), "retry": wire.Retry(attempts=2)}
    async with (
        serving(answering(ok())) as good,
        serving(hang) as bad,
        running(service("echo", [good, bad], **rule)) as sidecar,
    ):
        for state in sidecar.backend().balancer.states:
            state.load = 1e-9 if state.spec.port == bad.port else 1e9
        assert (await call(sidecar.address, GET)).status == 200
        assert dict(sidecar.slot.retries) == {"attempt_timeout": 1}


@on_uvloop
async def test_attempts_that_all_take_too_long_are_a_504() -> None:
    rule = {"timeouts": wire.Timeouts(backend_request_s=0.03), "retry": wire.Retry(attempts=1)}
    async with serving(hang) as origin, running(service("echo", [origin], **rule)) as sidecar:
        reply = await call(sidecar.address, GET)
        assert (reply.status, reply.fault, len(origin.requests)) == (504, "attempt_timeout", 2)
        reply = await call(sidecar.address, request("POST", "/", "echo", "content-length: 0"))
        assert (reply.status, reply.fault, len(origin.requests)) == (504, "attempt_timeout", 3)


@on_uvloop
async def test_the_request_timeout_counts_waits_between_attempts() -> None:
    rule = {"timeouts": wire.Timeouts(request_s=0.1), "retry": wire.Retry(codes=[503], attempts=100, backoff_s=0.02)}
    budget = wire.Backend(retry_budget=wire.RetryBudget(min_per_s=1000))
    async with (
        serving(answering(status(503))) as origin,
        running(service("echo", [origin], backend=budget, **rule)) as sidecar,
    ):
        reply = await call(sidecar.address, GET)
        assert (reply.status, reply.fault) == (504, "request_timeout")
        assert 2 <= len(origin.requests) < 100


@on_uvloop
async def test_a_slow_head_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downstream, "HEAD_TIMEOUT_S", 0.1)
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.get()
            await client.send(b"GET / HTTP/1.1\r\nHost: ")
            began = asyncio.get_running_loop().time()
            answer = asyncio.create_task(client.response())
            while not answer.done():  # a byte now and then changes nothing
                await client.send(b"e")
                await asyncio.sleep(0.01)
            assert asyncio.get_running_loop().time() - began < 5
            reply = await answer
            assert (reply.status, reply.fault, reply["connection"]) == (408, "head_timeout", "close")
        assert len(origin.requests) == 1


@on_uvloop
async def test_a_head_without_end_is_a_431() -> None:
    async with running() as sidecar, connected(sidecar.address) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: echo\r\n")
        sending = asyncio.create_task(client.send(b"x: " + b"y" * 1_000_000))
        reply = await client.response()
        assert (reply.status, reply.fault, reply["connection"]) == (431, "head_too_large", "close")
        assert await client.rest() == b""
        await sending


@on_uvloop
async def test_silent_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downstream, "FIRST_TIMEOUT_S", 0.05)
    monkeypatch.setattr(downstream, "IDLE_S", 0.05)
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            assert await client.rest() == b""
        async with connected(sidecar.address) as client:
            assert (await client.get()).status == 200
            assert await client.rest() == b""


@on_uvloop
async def test_what_stands_still_is_ended_and_who_is_to_blame_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "STREAM_IDLE_S", 0.05)
    async with serving(hang) as origin, running(service("echo", [origin])) as sidecar:
        reply = await call(sidecar.address, GET)
        assert (reply.status, reply.fault) == (504, "stream_idle")
        reply = await call(sidecar.address, request("POST", "/", "echo", "content-length: 10") + b"abc")
        assert (reply.status, reply.fault) == (408, "body_timeout")


@on_uvloop
async def test_an_endpoint_that_takes_nothing_of_a_body_is_not_the_clients_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange, "STREAM_IDLE_S", 0.1)
    released = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.head()
        await released.wait()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request("POST", "/", "echo", "content-length: 100000000"))

            async def upload() -> None:
                while True:
                    await client.send(b"x" * 100_000)

            sending = asyncio.create_task(upload())
            reply = await client.response()
            assert (reply.status, reply.fault) == (504, "stream_idle")
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        released.set()


@on_uvloop
async def test_an_exchange_that_moves_now_and_then_does_not_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "STREAM_IDLE_S", 0.2)

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n")
        for _ in range(20):
            await connection.send(b"x")
            await asyncio.sleep(0.025)

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        reply = await call(sidecar.address, GET)
        assert (reply.body, reply.is_complete) == (b"x" * 20, True)


@on_uvloop
@pytest.mark.parametrize("last", ["Connection: close", "X-Nothing: 1"])
async def test_a_client_that_never_takes_its_answers_is_cut_off_in_the_end(
    monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    for module in (downstream, exchange):
        monkeypatch.setattr(module, "STREAM_IDLE_S", 0.1)
    async with serving(answering(ok(b"x" * 50_000))) as origin, running(service("echo", [origin])) as sidecar:
        sidecar._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # inherited by what is accepted
        async with connected(sidecar.address, receive_bytes=4096) as client:
            await client.send(request() + request("GET", "/", "echo", last))
            await until(lambda: sidecar.finished and sidecar.stack.connections)
            await until(lambda: not sidecar.stack.connections)


@on_uvloop
async def test_a_resting_connection_with_something_untaken_is_cut_off_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(downstream, "STREAM_IDLE_S", 0.1)
    monkeypatch.setattr(downstream, "IDLE_S", 0.05)
    monkeypatch.setattr(exchange, "STREAM_IDLE_S", 0.05)  # the wheel looks at the timer when this is over
    async with serving(answering(ok(b"x" * 50_000))) as origin, running(service("echo", [origin])) as sidecar:
        sidecar._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        async with connected(sidecar.address, receive_bytes=4096) as client:
            await client.send(request())
            await until(lambda: sidecar.finished)
            assert sidecar.downstream.transport.get_write_buffer_size() > 0
            await until(lambda: not sidecar.stack.connections)
