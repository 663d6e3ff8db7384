"""Bodies and what frames them, both ways, over real sockets."""

from __future__ import annotations

import pytest

from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import Connection, answering, closing, ok, serving
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
LONG = bytes(range(256)) * 4096  # 1 MiB


@on_uvloop
async def test_a_response_with_a_length_passes_as_it_is() -> None:
    async with serving(answering(ok(LONG))) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            for _ in range(3):
                reply = await client.get()
                assert (reply.status, reply.body, reply["content-length"]) == (200, LONG, str(len(LONG)))
                assert "transfer-encoding" not in reply
        assert origin.connections == 1


@on_uvloop
async def test_a_chunked_response_passes_with_its_trailers() -> None:
    reply = CHUNKED + b"3\r\nabc\r\n5;ext=1\r\ndefgh\r\n0\r\nX-Sum: 9\r\n\r\n"
    async with serving(answering(reply)) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            for _ in range(2):
                answer = await client.get()
                assert (answer.body, answer.trailers) == (b"abcdefgh", [("X-Sum", "9")])
                assert answer.all("transfer-encoding") == ["chunked"]
        assert origin.connections == 1


@on_uvloop
async def test_a_response_until_close_becomes_chunked_and_the_client_connection_goes_on() -> None:
    async with (
        serving(closing(b"HTTP/1.1 200 OK\r\n\r\n" + LONG)) as origin,
        running(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        for n in range(2):
            reply = await client.get()
            assert (reply.body, reply.is_complete) == (LONG, True)
            assert origin.connections == n + 1


@on_uvloop
async def test_a_request_body_with_a_length_passes_as_it_is() -> None:
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            assert (await client.post(LONG)).status == 200
            assert (await client.post(b"x")).status == 200
        assert [one.body for one in origin.requests] == [LONG, b"x"]
        assert origin.requests[0]["content-length"] == str(len(LONG))
        assert sidecar.slot.sent_bytes == len(LONG) + 1


@on_uvloop
async def test_a_chunked_request_passes_with_its_trailers() -> None:
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request("POST", "/", "echo", "Transfer-Encoding: chunked"))
            await client.send(b"5\r\nhello\r\n")
            await client.send(b"1\r\n!\r\n0\r\nX-Sum: 6\r\n\r\n")
            assert (await client.response()).status == 200
            assert (await client.get()).status == 200
        first = origin.requests[0]
        assert (first.body, first.trailers) == (b"hello!", [("X-Sum", "6")])
        assert first.all("transfer-encoding") == ["chunked"]
        assert first.all("content-length") == []


@pytest.mark.parametrize("pieces", [1, 7, 64])
@on_uvloop
async def test_a_request_that_comes_in_pieces_is_the_same_request(pieces: int) -> None:
    data = request("POST", "/", "echo", "Content-Length: 5") + b"hello"
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            for start in range(0, len(data), pieces):
                await client.send(data[start : start + pieces])
            assert (await client.response()).status == 200
        assert origin.requests[0].body == b"hello"


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n",
    ],
)
@on_uvloop
async def test_an_answer_to_head_has_no_body_whatever_it_announces(reply: bytes) -> None:
    async with serving(answering(reply)) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            for _ in range(2):
                await client.send(request("HEAD"))
                answer = await client.response("HEAD")
                assert answer.body == b""
                assert answer.all("content-length") == ([] if b"length" not in reply else [answer["content-length"]])
        assert origin.connections == 1


@pytest.mark.parametrize(
    ("reply", "has_length"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", False),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", False),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\netag: x\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", False),
    ],
)
@on_uvloop
async def test_204_and_304_have_no_body(reply: bytes, has_length: bool) -> None:
    async with serving(answering(reply)) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            for _ in range(2):
                answer = await client.get()
                assert (answer.body, "content-length" in answer) == (b"", has_length)
                assert "transfer-encoding" not in answer
        assert origin.connections == 1


@on_uvloop
async def test_expect_is_passed_on_and_the_body_follows_the_100() -> None:
    async def script(connection: Connection) -> None:
        head = await connection.head()
        assert head is not None
        assert head["expect"] == "100-continue"
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await connection.body(head)
        await connection.send(ok())

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request("PUT", "/", "echo", "Content-Length: 5", "Expect: 100-continue"))
            assert await client.exactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send(b"hello")
            assert (await client.response()).status == 200
        assert origin.requests[0].body == b"hello"


@on_uvloop
async def test_an_expectation_that_is_refused_ends_the_connection_since_the_body_may_or_may_not_come() -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n")
        await connection.until_gone()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request("PUT", "/", "echo", "Content-Length: 5", "Expect: 100-continue"))
            reply = await client.response()
            assert (reply.status, reply["connection"]) == (417, "close")
            assert await client.rest() == b""
        assert origin.connections == 1


@on_uvloop
async def test_interim_responses_pass_and_the_connection_is_used_again() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
    async with (
        serving(answering(hints + b"HTTP/1.1 102 Processing\r\n\r\n" + ok(b"body"))) as origin,
        running(service("echo", [origin])) as sidecar,
    ):
        async with connected(sidecar.address) as client:
            for _ in range(2):
                reply = await client.get()
                assert (reply.interims, reply.status, reply.body) == ([103, 102], 200, b"body")
        assert origin.connections == 1
