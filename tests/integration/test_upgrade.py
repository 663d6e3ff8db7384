"""Connections that become tunnels, and those that may not."""

from __future__ import annotations

import asyncio

import pytest

from meshproxy.proxy import downstream
from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, answering, ok, serving
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service

ASK = request("GET", "/chat", "echo", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX-Own: 1\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nX-Own: 1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"


async def _switch(connection: Connection) -> None:
    head = await connection.head()
    assert head is not None
    assert (head["upgrade"], head["connection"]) == ("websocket", "upgrade")
    await connection.send(SWITCH)


async def echo(connection: Connection) -> None:
    """After the switch: sends back what comes, and ends when the client has ended."""
    await _switch(connection)
    while data := await connection.read():
        await connection.send(data)
    connection.half_close()
    await connection.until_gone()


@on_uvloop
async def test_a_websocket_becomes_a_tunnel_with_data_both_ways() -> None:
    async with serving(echo) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(ASK)
            assert await client.exactly(len(SWITCHED)) == SWITCHED
            for size in (1, 100, 300_000):
                data = b"x" * size
                sending = asyncio.create_task(client.send(data))
                assert await client.exactly(size) == data
                await sending
        await until(lambda: sidecar.finished)
        one = sidecar.finished[0]
        assert (one.status, one.fault, one.received_bytes) == (101, None, 300_101)
        assert one.sent_bytes == 300_101


@on_uvloop
async def test_data_sent_with_the_upgrade_request_reaches_the_other_side_after_the_switch() -> None:
    async with (
        serving(echo) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(ASK + b"early")
        assert await client.exactly(len(SWITCHED) + 5) == SWITCHED + b"early"


@on_uvloop
async def test_much_data_sent_before_the_switch_is_held_back_and_then_flows() -> None:
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        head = await connection.head()
        assert head is not None
        await go.wait()
        await connection.send(SWITCH)
        while data := await connection.read():
            await connection.send(data)

    size = 3_000_000
    async with (
        serving(script) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        sending = asyncio.create_task(client.send(ASK + b"e" * size))
        await until(lambda: sidecar.stack.connections and not sidecar.downstream._is_reading)
        assert sidecar.downstream.parser.buffered_bytes < downstream.PIPELINE_BYTES + 300_000
        go.set()
        assert await client.exactly(len(SWITCHED) + size) == SWITCHED + b"e" * size
        await sending


@on_uvloop
async def test_data_that_comes_with_the_101_is_passed_on() -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(SWITCH + b"hello")
        await connection.until_gone()

    async with (
        serving(script) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(ASK)
        assert await client.exactly(len(SWITCHED) + 5) == SWITCHED + b"hello"


@on_uvloop
async def test_the_client_can_end_its_half_and_still_hear_the_rest() -> None:
    async def script(connection: Connection) -> None:
        await _switch(connection)
        heard = b""
        while data := await connection.read():
            heard += data
        await connection.send(b"heard " + heard)
        connection.half_close()
        await connection.until_gone()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(ASK + b"question")
            assert await client.exactly(len(SWITCHED)) == SWITCHED
            client.half_close()
            assert await client.rest() == b"heard question"
            await until(lambda: sidecar.finished)
        await until(lambda: sidecar.upstreams_open == 0 and not sidecar.stack.connections)


@on_uvloop
async def test_the_endpoint_can_end_its_half_and_still_hear_the_rest() -> None:
    heard: list[bytes] = []

    async def script(connection: Connection) -> None:
        await _switch(connection)
        await connection.send(b"bye")
        connection.half_close()
        heard.append(await connection.until_gone())

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(ASK)
            assert await client.rest() == SWITCHED + b"bye"
            data = b"z" * 1_000_000
            await client.send(data)
            client.half_close()
            await until(lambda: heard)
            assert heard == [data]
            await until(lambda: sidecar.finished)
        await until(lambda: sidecar.upstreams_open == 0 and not sidecar.stack.connections)


@on_uvloop
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_tunnel_ends_for_the_client_when_the_endpoint_is_gone(end: str) -> None:
    async def script(connection: Connection) -> None:
        await _switch(connection)
        await connection.exactly(4)
        getattr(connection, end)()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(ASK)
            assert await client.exactly(len(SWITCHED)) == SWITCHED
            await client.send(b"ping")
            assert await client.read() == b""
        await until(lambda: sidecar.finished)


@on_uvloop
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_tunnel_ends_for_the_endpoint_when_the_client_is_gone(end: str) -> None:
    async with serving(echo) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(ASK)
            await client.exactly(len(SWITCHED))
            getattr(client, end)()
        await until(lambda: origin.open == 0)
        await until(lambda: sidecar.finished)


@on_uvloop
async def test_a_refused_upgrade_passes_and_the_connection_goes_on() -> None:
    async with serving(answering(ok(b"no"))) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(ASK)
            reply = await client.response()
            assert (reply.status, reply.body) == (200, b"no")
            assert (await client.get()).body == b"no"
        assert origin.connections == 1


@on_uvloop
@pytest.mark.parametrize(
    "ask",
    [
        request(),
        request("GET", "/", "echo", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
        request("POST", "/", "echo", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 0"),
    ],
)
async def test_a_101_that_was_not_asked_for_is_a_bad_response(ask: bytes) -> None:
    async with serving(answering(SWITCH)) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(ask)
            reply = await client.response()
            assert (reply.status, reply.fault) == (502, "bad_response")
            assert "upgrade" not in reply
            assert (await client.get("nobody")).status == 404
        assert origin.requests[0].all("upgrade") == []


@on_uvloop
async def test_connect_is_not_offered() -> None:
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request("CONNECT", "echo:80", "echo:80"))
            reply = await client.response()
            assert (reply.status, reply.fault) == (405, "method_refused")
            assert "GET" in reply["allow"]
            assert await client.rest() == b""
        assert origin.connections == 0
