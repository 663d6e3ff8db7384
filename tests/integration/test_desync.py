"""Answers that would poison the next request on a kept connection, and bodies that are cut short."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.client import call, connected, request
from tests.fakes.loop import on_uvloop, passed, until
from tests.fakes.origin import Connection, Script, closing, ok, serving, status
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service

HEAD_REQUEST = request("HEAD")
GET_REQUEST = request("GET")


def once_then_ok(first: bytes) -> Script:
    """The origin's first request gets `first`, all others are answered well, whatever the connection."""

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(first if len(connection.origin.requests) == 1 else ok(b"mine"))

    return script


async def _two(sidecar: Sidecar, ask: bytes, method: str) -> tuple[bytes, bytes]:
    async with connected(sidecar.address) as client:
        await client.send(ask)
        first = await client.response(method)
        second = await client.get("echo", "/next")
        assert second.status == 200
        return first.body, second.body


@on_uvloop
@pytest.mark.parametrize(
    ("ask", "answer", "body", "is_reused"),
    [
        pytest.param(HEAD_REQUEST, ok(b"")[:-2] + b"x: y\r\n\r\n", b"", True, id="a HEAD's answer as it should be"),
        pytest.param(HEAD_REQUEST, ok(b"full body"), b"", False, id="a body in answer to HEAD"),
        pytest.param(GET_REQUEST, ok(b"own") + ok(b"evil"), b"own", False, id="a second response"),
        pytest.param(GET_REQUEST, ok(b"own") + b"garbage", b"own", False, id="garbage after the end"),
        pytest.param(GET_REQUEST, ok(b"own") + b"\r\n", b"own", False, id="an empty line after the end"),
        pytest.param(
            GET_REQUEST,
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nown\r\n0\r\n\r\n" + ok(b"evil"),
            b"own",
            False,
            id="a second response after chunks",
        ),
        pytest.param(GET_REQUEST, b"HTTP/1.1 204 No Content\r\n\r\nevil", b"", False, id="a body after a 204"),
        pytest.param(
            GET_REQUEST,
            b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nevil",
            b"",
            False,
            id="a 304 with a body",
        ),
        pytest.param(
            GET_REQUEST, b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"own"), b"own", True, id="a 100 that nobody waits for"
        ),
        pytest.param(
            GET_REQUEST, ok(b"own") + b"HTTP/1.1 100 Continue\r\n\r\n", b"own", False, id="a 1xx after the response"
        ),
    ],
)
async def test_nothing_of_an_answer_reaches_the_next_request(
    ask: bytes, answer: bytes, body: bytes, is_reused: bool
) -> None:
    async with serving(once_then_ok(answer)) as origin, running(service("echo", [origin])) as sidecar:
        assert await _two(sidecar, ask, ask[:4].decode().strip()) == (body, b"mine")
        assert origin.connections == (1 if is_reused else 2)


@on_uvloop
async def test_what_comes_on_an_idle_connection_closes_it() -> None:
    evil = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(ok(b"own"))
        if connection.number:
            await connection.until_gone()
            return
        await evil.wait()
        await connection.send(ok(b"evil"))
        await connection.until_gone()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            assert (await client.get()).body == b"own"
            await until(lambda: sidecar.upstreams_open == 1)
            evil.set()
            await until(lambda: sidecar.upstreams_open == 0)
            assert (await client.get()).body == b"own"
        assert origin.connections == 2


@on_uvloop
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!", id="two lengths"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", id="both lengths"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="two codings"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", id="a TLS alert"),
        pytest.param(b"HTTP/1.1 200 OK\r\nbad header: 1\r\n\r\n", id="a malformed field"),
        pytest.param(b"HTTP/1.1 200 OK\nx: 1\n\n", id="bare line feeds"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + ok(), id="too many interims"),
    ],
)
async def test_an_invalid_answer_is_a_502_and_its_connection_is_not_used_again(answer: bytes) -> None:
    async with serving(once_then_ok(answer)) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            reply = await client.get()
            assert (reply.status, reply.fault) == (502, "bad_response")
            assert (await client.get()).body == b"mine"
        assert origin.connections == 2
        assert sidecar.finished[0].detail


@on_uvloop
async def test_a_response_head_without_end_is_a_502() -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %b\r\n" % (n, b"v" * 1000) for n in range(100))
    async with (
        serving(once_then_ok(answer)) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        reply = await client.get()
        assert (reply.status, reply.fault) == (502, "response_head_too_large")
        assert (await client.get()).body == b"mine"


CUT = {
    "length": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
    "chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc",
    "trailers": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n",
}


@on_uvloop
@pytest.mark.parametrize("kind", CUT)
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_body_cut_short_is_cut_short_for_the_client_too(kind: str, end: str) -> None:
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CUT[kind])
        await go.wait()
        getattr(connection, end)()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request())
            await client.exactly(len(b"HTTP/1.1 200 OK"))
            go.set()
            client._rest = b"HTTP/1.1 200 OK" + client._rest
            reply = await client.response()
            assert (reply.status, reply.is_complete, reply.body) == (200, False, b"abc")
            assert await client.rest() == b""
        await until(lambda: sidecar.finished)
        assert sidecar.finished[0].fault is not None
        assert (sidecar.finished[0].status, sidecar.finished[0].fault.word) == (200, "response_incomplete")


@on_uvloop
async def test_a_chunk_that_breaks_the_rules_cuts_the_body_short() -> None:
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CUT["chunked"])
        await go.wait()
        await connection.send(b"zz\r\n")
        await connection.until_gone()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request())
            await client.exactly(5)
            go.set()
            client._rest = b"HTTP/" + client._rest
            reply = await client.response()
            assert (reply.body, reply.is_complete) == (b"abc", False)
        await until(lambda: origin.open == 0)


@on_uvloop
@pytest.mark.parametrize("kind", ["chunked", "until close"])
async def test_a_body_cut_short_reaches_an_http_1_0_client_as_a_reset(kind: str) -> None:
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CUT.get(kind, b"HTTP/1.1 200 OK\r\n\r\nabc"))
        await go.wait()
        connection.reset()

    async with (
        serving(script) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(b"GET / HTTP/1.0\r\nHost: echo\r\n\r\n")
        await client.exactly(len(b"HTTP/1.1 200 OK"))
        go.set()
        with pytest.raises(ConnectionResetError):
            await client.rest()


@on_uvloop
async def test_a_response_until_close_that_is_reset_is_cut_short_for_the_client() -> None:
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await go.wait()
        connection.reset()

    async with (
        serving(script) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(request())
        await client.exactly(5)
        go.set()
        client._rest = b"HTTP/" + client._rest
        reply = await client.response()
        assert (reply.body, reply.is_complete) == (b"abc", False)


@on_uvloop
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_head_that_never_ends_is_a_502(end: str) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nx: y\r\n")
        getattr(connection, end)()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        reply = await call(sidecar.address, request("POST", "/", "echo", "Content-Length: 0"))
        assert reply.status == 502
        assert reply.fault in ("response_incomplete", "upstream_reset")


# Early answers: the response is complete before the request is.


def early(answer: bytes, then: str) -> Script:
    """Answers as soon as the head is there. `read` takes the body, `hang` does not, `close` and `reset` end it."""

    async def script(connection: Connection) -> None:
        while (head := await connection.head()) is not None:
            if head.method == "GET":
                await connection.send(ok(b"mine"))
                continue
            await connection.send(answer)
            if then == "read":
                await connection.body(head)
            elif then == "hang":
                await connection.origin.released.wait()
                return
            else:
                getattr(connection, then)()
                return

    return script


@on_uvloop
@pytest.mark.parametrize("then", ["read", "hang", "close"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("answer", [status(413, b"too large"), CUT["chunked"] + b"0\r\n\r\n"], ids=["413", "chunked"])
async def test_an_early_answer_reaches_a_client_that_is_still_sending(then: str, framing: str, answer: bytes) -> None:
    async with serving(early(answer, then)) as origin, running(service("echo", [origin])) as sidecar:
        origin.released = asyncio.Event()
        async with connected(sidecar.address) as client:
            field = "Content-Length: 50000000" if framing == "length" else "Transfer-Encoding: chunked"
            await client.send(request("POST", "/", "echo", field))
            piece = b"x" * 65_536 if framing == "length" else b"10000\r\n" + b"x" * 65_536 + b"\r\n"

            async def upload() -> None:
                while True:
                    await client.send(piece)

            sending = asyncio.create_task(upload())
            reply = await client.response()
            assert (reply.status, reply.is_complete) == (int(answer[9:12]), True)
            assert reply.body == (b"too large" if reply.status == 413 else b"abc")
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            assert await client.rest() == b""
        assert (await call(sidecar.address, request())).body == b"mine"
        origin.released.set()
        assert origin.connections == 2


@on_uvloop
async def test_an_early_answer_long_after_the_last_of_the_request_is_not_lost_to_a_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("meshproxy.proxy.downstream.LINGER_S", 0.3)
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.head()
        await go.wait()
        await connection.send(status(413, b"too large"))
        await connection.until_gone()

    async with (
        serving(script) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(request("POST", "/", "echo", "Content-Length: 1000"))
        await until(lambda: origin.requests)
        # The client is silent for longer than the connection lingers, and then sends slowly.
        await passed(0.4)
        go.set()
        await until(lambda: sidecar.finished)
        for _ in range(10):
            await client.send(b"x" * 50)
            await passed(0.01)
        reply = await client.response()
        assert (reply.status, reply.body, reply["connection"]) == (413, b"too large", "close")
        assert await client.rest() == b""  # and no reset


@on_uvloop
async def test_a_connection_whose_request_was_not_taken_whole_is_not_used_again() -> None:
    """The endpoint answers without reading; the client has sent all, but part of it is still in our buffers."""
    released = asyncio.Event()

    async def script(connection: Connection) -> None:
        head = await connection.head()
        assert head is not None
        if head.method == "GET":
            await connection.send(ok(b"mine"))
            return
        await released.wait()
        await connection.send(status(413))
        await connection.until_gone()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request("POST", "/", "echo", "Transfer-Encoding: chunked"))
            await until(lambda: origin.requests)
            exchange = sidecar.downstream.exchange
            while not exchange.attempt.has_unsent:
                before = exchange.sent_bytes
                await client.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                await until(lambda before=before: exchange.sent_bytes > before)
            await client.send(b"0\r\n\r\n")
            await until(lambda: exchange.is_request_complete)
            released.set()
            reply = await client.response()
            assert (reply.status, reply.all("connection")) == (413, [])
            assert (await client.get()).body == b"mine"
        assert origin.connections == 2


@on_uvloop
async def test_a_request_that_breaks_the_rules_amid_its_body_is_refused_and_its_attempt_broken_off() -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.until_gone()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request("POST", "/", "echo", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
            await until(lambda: origin.requests)
            await client.send(b"zz\r\n" + b"x" * 100_000)
            reply = await client.response()
            assert (reply.status, reply.fault, reply["connection"]) == (400, "bad_request", "close")
            for _ in range(3):
                await client.send(b"x" * 100_000)
            assert await client.rest() == b""  # and no reset
        await until(lambda: origin.open == 0)


@on_uvloop
async def test_an_answer_that_comes_with_the_end_of_the_connection_is_whole() -> None:
    async with serving(closing(ok(b"last words"))) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            for _ in range(5):
                assert (await client.post(b"x")).body == b"last words"
        assert len(origin.requests) == 5
