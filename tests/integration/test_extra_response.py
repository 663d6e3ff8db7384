"""An endpoint that answers one request twice: its second answer belongs to nobody, least of all to a later request.

What is known here is what the kernel has when a connection is taken. An answer too many that arrives between the
request's last byte and its true answer looks in every respect like that answer: there is no telling in HTTP/1.1.
"""

from __future__ import annotations

import asyncio

import pytest

from meshproxy.proxy.connect import Connector
from meshproxy.proxy.upstream import Upstream
from meshproxy.wire import resources as wire
from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, ok, serving
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service

POISON = ok(b"POISON")


class Twice:
    """Answers with the request's own path. `poison` sends an answer too many on the connection of the first."""

    def __init__(self) -> None:
        self.sockets: list[Connection] = []

    async def script(self, connection: Connection) -> None:
        self.sockets.append(connection)
        while one := await connection.request():
            await connection.send(ok(one.target.encode()))

    def poison(self) -> None:
        """It is in the other side's kernel when this returns: loopback has no wire."""
        assert self.sockets[0].sock.send(POISON) == len(POISON)


@on_uvloop
async def test_it_is_not_the_answer_to_a_request_that_was_pipelined_behind() -> None:
    origin = Twice()
    async with (
        serving(origin.script) as server,
        running(service("echo", [server])) as sidecar,
        connected(sidecar.address) as client,
    ):

        def on_first_end(exchange) -> None:
            # The next request of the same read is about to begin, with the loop having no turn in between.
            if not sidecar.finished:
                origin.poison()
            sidecar.finished.append(exchange)

        sidecar.stack.log_exchange = on_first_end
        await client.send(request("GET", "/one") + request("GET", "/two"))
        assert (await client.response()).body == b"/one"
        assert (await client.response()).body == b"/two"
        assert server.connections == 2


@on_uvloop
async def test_it_is_not_the_answer_to_a_request_that_comes_before_the_loop_has_seen_it() -> None:
    origin = Twice()
    async with (
        serving(origin.script) as server,
        running(service("echo", [server])) as sidecar,
        connected(sidecar.address) as client,
    ):
        assert (await client.get("echo", "/one")).body == b"/one"
        origin.poison()
        sidecar.downstream.data_received(request("GET", "/two"))
        assert (await client.response()).body == b"/two"
        assert server.connections == 2


@on_uvloop
async def test_it_ends_the_idle_connection_that_it_comes_on() -> None:
    origin = Twice()
    async with (
        serving(origin.script) as server,
        running(service("echo", [server])) as sidecar,
        connected(sidecar.address) as client,
    ):
        assert (await client.get("echo", "/one")).body == b"/one"
        origin.poison()
        await until(lambda: sidecar.upstreams_open == 0)
        assert (await client.get("echo", "/two")).body == b"/two"


@on_uvloop
async def test_it_is_not_the_answer_to_a_request_that_waits_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    origin = Twice()
    may_dial = asyncio.Event()
    may_dial.set()
    connect, release = Connector.connect, Upstream.release

    async def gated(self: Connector, upstream: Upstream, backend: str, spec: wire.Endpoint) -> None:
        await may_dial.wait()
        await connect(self, upstream, backend, spec)

    def poisoned(self: Upstream, now: float) -> None:
        if len(server.requests) == 1:
            origin.poison()
        release(self, now)

    monkeypatch.setattr(Connector, "connect", gated)
    monkeypatch.setattr(Upstream, "release", poisoned)
    answer = asyncio.Event()

    async def script(connection: Connection) -> None:
        origin.sockets.append(connection)
        while one := await connection.request():
            await answer.wait()
            await connection.send(ok(one.target.encode()))

    async with (
        serving(script) as server,
        running(service("echo", [server])) as sidecar,
        connected(sidecar.address) as first,
        connected(sidecar.address) as second,
    ):
        await first.send(request("GET", "/one"))
        await until(lambda: server.requests)
        may_dial.clear()
        await second.send(request("GET", "/two"))
        await until(lambda: sidecar.backend().pending == 1)
        answer.set()
        assert (await first.response()).body == b"/one"
        may_dial.set()
        assert (await second.response()).body == b"/two"
        assert server.connections == 2
