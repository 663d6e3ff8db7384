"""Streams as they come, and every way in which they end."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest
from aiohttp import web

from control.kube.client import Client
from control.kube.connection import load
from control.kube.failure import KubeError
from tests.fakes.apiserver import Handler, Tls, serving, write_kubeconfig
from tests.fakes.loop import on_uvloop, until

BIG = os.urandom(1 << 20) * 17


async def streamed(folder: Path, handler: Handler, idle_s: float = 10.0) -> tuple[bytes, str]:
    """What came, and the failure that it ended in."""
    tls = Tls(folder)
    taken = bytearray()
    async with serving(handler, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
        client = Client(load(write_kubeconfig(folder / "kubeconfig", cluster), ""))
        try:
            async with client.stream("/watch", {"watch": "true"}, idle_s=idle_s) as chunks:
                async for chunk in chunks:
                    taken += chunk
        except KubeError as error:
            return bytes(taken), str(error)
        else:
            return bytes(taken), ""
        finally:
            await client.close()


async def begin(request: web.Request, first: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(first)
    return response


@on_uvloop
async def test_what_comes_is_given_at_once(tmp_path):
    release = asyncio.Event()
    tls = Tls(tmp_path)

    async def handle(request: web.Request) -> web.StreamResponse:
        response = await begin(request, b"one\n")
        await release.wait()
        await response.write(b"two\n")
        return response

    async with serving(handle, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
        client = Client(load(write_kubeconfig(tmp_path / "kubeconfig", cluster), ""))
        async with client.stream("/watch", {}, idle_s=10.0) as chunks:
            assert await anext(chunks) == b"one\n"
            release.set()
            assert [chunk async for chunk in chunks] == [b"two\n"]
        await client.close()


@on_uvloop
async def test_a_clean_end_ends_the_iteration(tmp_path):
    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.query["watch"] == "true"
        return await begin(request, b"all")

    assert await streamed(tmp_path, handle) == (b"all", "")


@on_uvloop
async def test_a_stream_that_is_cut_is_a_failure_after_what_came(tmp_path):
    async def handle(request: web.Request) -> web.StreamResponse:
        response = await begin(request, b"half")
        request.transport.abort()
        return response

    taken, failure = await streamed(tmp_path, handle)
    assert taken in {b"half", b""}  # an abort may overtake what was written before it
    assert failure == "GET /watch: the answer was cut off"


@on_uvloop
async def test_a_connection_that_ends_without_the_last_chunk_is_a_failure(tmp_path):
    async def handle(request: web.Request) -> web.StreamResponse:
        response = await begin(request, b"half")
        request.transport.close()
        return response

    assert await streamed(tmp_path, handle) == (b"half", "GET /watch: the answer was cut off")


@on_uvloop
async def test_silence_is_a_failure_that_says_how_long(tmp_path):
    async def handle(request: web.Request) -> web.StreamResponse:
        response = await begin(request, b"one")
        await asyncio.Event().wait()
        return response

    assert await streamed(tmp_path, handle, idle_s=0.05) == (b"one", "GET /watch: nothing came for 0.05 s")


@on_uvloop
async def test_a_long_stream_is_not_bounded_as_a_body_is(tmp_path):
    async def handle(request: web.Request) -> web.StreamResponse:
        response = await begin(request, b"")
        for _ in range(4):
            await response.write(BIG)
        return response

    taken, failure = await streamed(tmp_path, handle)
    assert (len(taken), failure) == (4 * len(BIG), "")
    assert taken == BIG * 4


@on_uvloop
async def test_a_refusal_is_raised_on_entry(tmp_path):
    async def handle(_: web.Request) -> web.Response:
        return web.Response(
            status=410, text='{"kind": "Status", "reason": "Expired", "message": "too old", "code": 410}'
        )

    assert await streamed(tmp_path, handle) == (b"", "too old (410 Expired)")


@on_uvloop
async def test_a_stream_that_is_left_is_closed_at_the_server_too(tmp_path):
    gone = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = await begin(request, b"one")
        await until(lambda: request.transport is None or request.transport.is_closing())
        gone.set()
        return response

    tls = Tls(tmp_path)
    async with serving(handle, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
        client = Client(load(write_kubeconfig(tmp_path / "kubeconfig", cluster), ""))
        async with client.stream("/watch", {}, idle_s=10.0) as chunks:
            await anext(chunks)
        await until(gone.is_set)
        await client.close()


@on_uvloop
async def test_a_reader_that_is_cancelled_lets_go(tmp_path):
    begun = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = await begin(request, b"one")
        begun.set()
        await asyncio.Event().wait()
        return response

    reading = asyncio.create_task(streamed(tmp_path, handle, idle_s=100.0))
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


@on_uvloop
async def test_closing_ends_what_is_being_read(tmp_path):
    async def handle(request: web.Request) -> web.StreamResponse:
        response = await begin(request, b"one")
        await until(lambda: request.transport is None or request.transport.is_closing())
        return response

    async def read(client: Client) -> None:
        async with client.stream("/watch", {}, idle_s=100.0) as chunks:
            async for _ in chunks:
                begun.set()

    begun = asyncio.Event()
    tls = Tls(tmp_path)
    async with serving(handle, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
        client = Client(load(write_kubeconfig(tmp_path / "kubeconfig", cluster), ""))
        reading = [asyncio.create_task(read(client)), asyncio.create_task(client.get("/list", timeout_s=100.0))]
        await begun.wait()
        await until(lambda: len(client._responses) == 2)
        await client.close()
        for task in reading:
            with pytest.raises(KubeError, match="could not be asked: ClientConnectionError"):
                await asyncio.wait_for(task, 5.0)


@on_uvloop
async def test_the_system_looks_after_a_peer_that_is_gone(tmp_path):
    async def handle(request: web.Request) -> web.StreamResponse:
        return await begin(request, b"one")

    tls = Tls(tmp_path)
    async with serving(handle, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
        client = Client(load(write_kubeconfig(tmp_path / "kubeconfig", cluster), ""))
        async with client.stream("/watch", {}, idle_s=10.0) as chunks:
            await anext(chunks)
            options = [option for number in _descriptors() for option in _keepalive(number, port)]
        await client.close()
    assert options == [1, 30, 10, 3]


def _descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]


def _keepalive(descriptor: int, port: int) -> list[int]:
    """The options of our end of a connection to `port`; nothing for another descriptor."""
    try:
        sock = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return []
    with sock:
        try:
            if sock.getpeername()[1] != port:
                return []
        except (OSError, IndexError, TypeError):
            return []
        tcp = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        return [sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)] + [
            sock.getsockopt(socket.IPPROTO_TCP, option) for option in tcp
        ]
