"""Clients that stand still, many at a time: none of the endpoints behind them is taken for a failing one."""

from __future__ import annotations

import contextlib

from meshproxy.proxy.exchange import RESPONDING
from meshproxy.wire import resources as wire
from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, serving
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service

CLIENTS = 12  # six for each endpoint, and five failures in a row eject one
LATER = wire.Timeouts(request_s=3600)


def _end_time(sidecar: Sidecar) -> None:
    """Let the request timeout of every exchange under way come now."""
    for connection in list(sidecar.stack.connections):
        connection.exchange.until = connection.exchange.now
        sidecar.stack.wheel.arm(connection.timer, connection.exchange.now)


def _check(sidecar: Sidecar) -> None:
    assert {one.fault.word for one in sidecar.finished if one.fault} == {"request_timeout"}
    for state in sidecar.backend().balancer.states:
        assert (state.condition, state.failures) == ("ready", 0)


@on_uvloop
async def test_clients_that_never_finish_their_bodies_eject_nobody() -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.until_gone()

    async with (
        serving(script) as one,
        serving(script) as other,
        running(service("echo", [one, other], timeouts=LATER)) as sidecar,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(CLIENTS):
            client = await stack.enter_async_context(connected(sidecar.address))
            await client.send(request("POST", "/", "echo", "content-length: 10") + b"abc")
        await until(lambda: len(one.requests) + len(other.requests) == CLIENTS)
        _end_time(sidecar)
        await until(lambda: len(sidecar.finished) == CLIENTS)
        assert {one.status for one in sidecar.finished} == {504}
        _check(sidecar)


@on_uvloop
async def test_clients_that_do_not_read_their_answers_eject_nobody() -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        while True:
            await connection.send(bytes(65_536))

    async with (
        serving(script) as one,
        serving(script) as other,
        running(service("echo", [one, other], timeouts=LATER)) as sidecar,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(CLIENTS):
            client = await stack.enter_async_context(connected(sidecar.address, receive_bytes=4096))
            await client.send(request())
        await until(
            lambda: (
                len(sidecar.stack.connections) == CLIENTS
                and all(
                    connection.exchange is not None
                    and connection.exchange.state == RESPONDING
                    and connection.transport.get_write_buffer_size() > 65_536
                    for connection in sidecar.stack.connections
                )
            )
        )
        _end_time(sidecar)
        await until(lambda: len(sidecar.finished) == CLIENTS)
        _check(sidecar)
