"""Requests sent ahead of their responses, and the connections of older clients."""

from __future__ import annotations

import asyncio

from meshproxy.proxy import downstream
from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, answering, ok, serving
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service


@on_uvloop
async def test_pipelined_requests_are_answered_in_order_though_the_first_is_slow() -> None:
    slow = asyncio.Event()

    async def script(connection: Connection) -> None:
        while one := await connection.request():
            if one.target == "/0":
                await slow.wait()
            await connection.send(ok(one.target.encode()))

    async with (
        serving(script) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(b"".join(request("GET", f"/{n}") for n in range(5)))
        await until(lambda: len(origin.requests) == 1)
        slow.set()
        assert [(await client.response()).body for _ in range(5)] == [b"/%d" % n for n in range(5)]
        assert [one.target for one in origin.requests] == [f"/{n}" for n in range(5)]


@on_uvloop
async def test_pipelined_requests_that_fail_at_once_are_answered_in_order() -> None:
    async with (
        serving(answering(ok())) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        hosts = ["nobody", "echo", "nobody", "nobody", "echo"] * 50
        await client.send(b"".join(request("GET", "/", host) for host in hosts))
        assert [(await client.response()).status for _ in hosts] == [200 if h == "echo" else 404 for h in hosts]


@on_uvloop
async def test_pipelined_posts_keep_their_bodies() -> None:
    async with (
        serving(answering(ok())) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        bodies = [bytes([65 + n]) * (n * 1000) for n in range(20)]
        await client.send(b"".join(request("POST", "/", "echo", f"Content-Length: {len(b)}") + b for b in bodies))
        for _ in bodies:
            assert (await client.response()).status == 200
        assert [one.body for one in origin.requests] == bodies


@on_uvloop
async def test_a_client_that_leaves_takes_its_waiting_requests_with_it() -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.until_gone()

    for leave in ("close", "reset"):
        async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
            async with connected(sidecar.address) as client:
                await client.send(b"".join(request("POST", f"/{n}") for n in range(3)))
                await until(lambda: len(origin.requests) == 1)
                getattr(client, leave)()
                await until(lambda: not sidecar.stack.connections)
            await until(lambda: origin.open == 0)
            assert [one.target for one in origin.requests] == ["/0"]
            assert [one.fault.word for one in sidecar.finished if one.fault] == ["client_gone"]


@on_uvloop
async def test_what_is_sent_ahead_is_bounded() -> None:
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        while await connection.request():
            await go.wait()
            await connection.send(ok())

    async with (
        serving(script) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        count = 500_000
        sending = asyncio.create_task(client.send(request("GET") * count))
        await until(lambda: len(origin.requests) == 1)
        await until(lambda: sidecar.stack.connections and not sidecar.downstream._is_reading)
        assert sidecar.downstream.parser.buffered_bytes < downstream.PIPELINE_BYTES + 300_000
        assert not sending.done()
        go.set()
        for _ in range(100):
            assert (await client.response()).status == 200
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


@on_uvloop
async def test_http_1_0_gets_a_length_and_keeps_the_connection_if_it_asks() -> None:
    async with (
        serving(answering(ok(b"hello"))) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        for _ in range(3):
            await client.send(b"GET / HTTP/1.0\r\nHost: echo\r\nConnection: Keep-Alive\r\n\r\n")
            reply = await client.response()
            assert (reply.body, reply["content-length"], reply["connection"]) == (b"hello", "5", "keep-alive")
        assert origin.connections == 1


@on_uvloop
async def test_http_1_0_without_keep_alive_is_closed_after_the_response() -> None:
    async with (
        serving(answering(ok(b"hello"))) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(b"GET / HTTP/1.0\r\nHost: echo\r\n\r\n")
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"content-length: 5\r\nconnection: close\r\n\r\nhello")


@on_uvloop
async def test_http_1_0_gets_a_chunked_body_without_its_chunks_until_close() -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with (
        serving(answering(chunked)) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(b"GET / HTTP/1.0\r\nHost: echo\r\nConnection: keep-alive\r\n\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert body == b"abcde"
        assert b"transfer-encoding" not in head
        assert head.endswith(b"connection: close")


@on_uvloop
async def test_http_1_0_gets_no_interim_response() -> None:
    reply = b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" + ok()
    async with (
        serving(answering(reply)) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(b"GET / HTTP/1.0\r\nHost: echo\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


@on_uvloop
async def test_connection_close_is_answered_and_kept() -> None:
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request("GET", "/1", "echo", "Connection: close") + request("GET", "/2"))
            reply = await client.response()
            assert (reply.status, reply["connection"]) == (200, "close")
            assert await client.rest() == b""
        assert [one.target for one in origin.requests] == ["/1"]
        assert origin.requests[0].all("connection") == []
