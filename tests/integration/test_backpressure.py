"""Whoever is slow slows the other side down; nothing gathers in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from meshproxy.proxy.downstream import Downstream
from meshproxy.proxy.upstream import Upstream
from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, answering, ok, serving
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service

SIZE = 50_000_000
HELD_BYTES = 65_536 + 262_144 + 1_000  # a transport's high-water mark, one read, and what frames it
PIECE = b"x" * 100_000


async def stands_still(count: Callable[[], int]) -> int:
    """Wait until a count has moved, and then no more; returns it."""
    last, quiet = count(), 0
    async with asyncio.timeout(10):
        while quiet < 20 or not last:
            await asyncio.sleep(0.005)
            now = count()
            quiet = quiet + 1 if now == last else 0
            last = now
    return last


class Sender:
    """Sends pieces for as long as they are taken, and counts them."""

    def __init__(self, frame: Callable[[bytes], bytes]) -> None:
        self.sent = 0
        self._data = frame(PIECE)

    async def run(self, end: Connection, total: int) -> None:
        while self.sent < total:
            await end.send(self._data)
            self.sent += len(PIECE)


def plain(data: bytes) -> bytes:
    return data


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def buffers(sidecar: Sidecar) -> tuple[int, int]:
    """What waits in the transports' buffers: (towards the client, towards the endpoint)."""
    downstream: Downstream = sidecar.downstream
    exchange = downstream.exchange
    upstream: Upstream | None = exchange.attempt if exchange is not None else None
    to_endpoint = upstream.transport.get_write_buffer_size() if upstream is not None else 0
    return downstream.transport.get_write_buffer_size(), to_endpoint


@on_uvloop
@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
async def test_a_slow_reader_stops_the_endpoint_and_no_buffer_grows(framing: str) -> None:
    sender = Sender(chunk if framing == "chunked" else plain)
    heads = {"length": b"content-length: %d\r\n" % SIZE, "chunked": b"transfer-encoding: chunked\r\n"}

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n" + heads.get(framing, b"") + b"\r\n")
        await sender.run(connection, SIZE)
        if framing == "chunked":
            await connection.send(b"0\r\n\r\n")

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request())
            sent = await stands_still(lambda: sender.sent)
            assert sent < SIZE
            to_client, to_endpoint = buffers(sidecar)
            assert 0 < to_client < HELD_BYTES
            assert to_endpoint == 0
            taken = 0
            while taken < SIZE:
                data = await client.read()
                assert data, taken
                taken += len(data)
                assert buffers(sidecar)[0] < HELD_BYTES
            await until(lambda: sidecar.finished)
        assert sidecar.finished[0].received_bytes == SIZE


@on_uvloop
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_slow_endpoint_stops_the_client_and_no_buffer_grows(framing: str) -> None:
    go = asyncio.Event()
    taken = 0

    async def script(connection: Connection) -> None:
        nonlocal taken
        await connection.head()
        await go.wait()
        while taken < SIZE:
            taken += len(await connection.some_body())
        await connection.send(ok())
        await connection.until_gone()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            sender = Sender(chunk if framing == "chunked" else plain)
            field = f"content-length: {SIZE}" if framing == "length" else "transfer-encoding: chunked"
            await client.send(request("POST", "/", "echo", field))
            sending = asyncio.create_task(sender.run(client, SIZE))
            assert await stands_still(lambda: sender.sent) < SIZE
            to_client, to_endpoint = buffers(sidecar)
            assert 0 < to_endpoint < HELD_BYTES
            assert to_client == 0
            go.set()
            await sending
            if framing == "chunked":
                await client.send(b"0\r\n\r\n")
            assert (await client.response()).status == 200
        assert sidecar.finished[0].sent_bytes == SIZE


@on_uvloop
async def test_a_tunnel_has_backpressure_both_ways() -> None:
    sender = Sender(plain)
    heard = 0
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        nonlocal heard
        await connection.head()
        await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        await sender.run(connection, SIZE)
        await go.wait()
        while data := await connection.read():
            heard += len(data)

    async with (
        serving(script) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(request("GET", "/", "echo", "Connection: Upgrade", "Upgrade: websocket"))
        assert await stands_still(lambda: sender.sent) < SIZE
        assert buffers(sidecar)[0] < HELD_BYTES
        taken = 0
        while taken < SIZE:
            taken += len(await client.read())
        up = Sender(plain)
        sending = asyncio.create_task(up.run(client, SIZE))
        assert await stands_still(lambda: up.sent) < SIZE
        assert buffers(sidecar)[1] < HELD_BYTES
        go.set()
        await sending
        await until(lambda: heard == SIZE)


@on_uvloop
async def test_a_client_that_asks_and_does_not_read_gets_no_further_answers_made() -> None:
    """Pipelined requests whose answers pile up would be a way to fill our memory."""
    async with (
        serving(answering(ok(b"x" * 30_000))) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        sending = asyncio.create_task(client.send(request() * 20_000))
        made = await stands_still(lambda: len(origin.requests))
        assert made < 1_000
        assert buffers(sidecar)[0] < HELD_BYTES
        for _ in range(made + 100):
            assert len((await client.response()).body) == 30_000
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


@on_uvloop
async def test_answers_of_our_own_do_not_pile_up_either() -> None:
    async with running() as sidecar, connected(sidecar.address) as client:
        sending = asyncio.create_task(client.send(request("GET", "/", "nobody") * 200_000))
        await stands_still(lambda: len(sidecar.finished))
        assert buffers(sidecar)[0] < HELD_BYTES
        assert sidecar.downstream.parser.buffered_bytes < HELD_BYTES
        assert (await client.response()).status == 404
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
