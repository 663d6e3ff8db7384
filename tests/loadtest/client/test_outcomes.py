"""What becomes of a request, against servers that do one thing each."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from loadtest.messages import SEEN_BROKEN, SEEN_FAILURE, SEEN_SUCCESS, SEEN_UNSENT, WRITE
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import Connection, answering, closing, ok, serving, status
from tests.loadtest.client.runs import at, head, open_loop, run

ONE = open_loop(1)


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def closes(connection: Connection) -> None:
    await connection.request()


async def resets(connection: Connection) -> None:
    await connection.request()
    connection.reset()


async def begins_and_closes(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")


async def begins_and_resets(connection: Connection) -> None:
    await begins_and_closes(connection)
    connection.reset()


async def cuts_a_chunk(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nhalf")


async def cuts_the_head(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-len")


async def says_only_100(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")


async def babbles(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"SSH-2.0-OpenSSH_9.6\r\n")
    await forever()


async def upgrades(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
    await forever()


async def keeps_silent(connection: Connection) -> None:
    await connection.request()
    await forever()


async def begins_and_stops(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    await forever()


@pytest.mark.parametrize(
    ("script", "outcome", "seen"),
    [
        (answering(ok()), "200", SEEN_SUCCESS),
        (answering(status(302)), "302", SEEN_SUCCESS),
        (answering(status(503)), "503", SEEN_FAILURE),
        (answering(status(404, b"no")), "404", SEEN_FAILURE),
        (closes, "closed", SEEN_BROKEN),
        (resets, "reset", SEEN_BROKEN),
        (begins_and_closes, "truncated", SEEN_BROKEN),
        (begins_and_resets, "reset", SEEN_BROKEN),
        (cuts_a_chunk, "truncated", SEEN_BROKEN),
        (cuts_the_head, "truncated", SEEN_BROKEN),
        (says_only_100, "truncated", SEEN_BROKEN),
        (babbles, "bad_response", SEEN_BROKEN),
        (upgrades, "bad_response", SEEN_BROKEN),
        (keeps_silent, "timeout", SEEN_BROKEN),
        (begins_and_stops, "timeout", SEEN_BROKEN),
    ],
)
@on_uvloop
async def test_an_outcome_is_told_in_its_word(script: Any, outcome: str, seen: int):
    async with serving(script) as origin:
        found = await run(ONE | {"timeout": "100ms" if outcome == "timeout" else "20s"}, at(origin))
    assert found.counts == {outcome: 1}
    assert found.bytes_seen == [seen]
    assert sum(found.total("ok").values()) == (seen == SEEN_SUCCESS)
    if outcome == "timeout":
        assert found.latencies[0] >= 99_900  # three digits
    assert found.sent == 1


@on_uvloop
async def test_refused_is_told_and_nothing_was_sent():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    found = await run(ONE | {"requests": [{"method": "POST"}]}, address)
    assert found.counts == {"refused": 1}
    assert found.bytes_seen == [SEEN_UNSENT + WRITE]


@on_uvloop
async def test_no_connection_in_time_is_told_and_nothing_was_sent():
    # A listener whose queue is full lets a further SYN go unanswered.
    with socket.socket() as sock, socket.socket() as first, socket.socket() as second:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        found = await run(ONE | {"timeout": "100ms"}, f"127.0.0.1:{sock.getsockname()[1]}")
    assert found.counts == {"connect_timeout": 1}
    assert found.bytes_seen == [SEEN_UNSENT]


@on_uvloop
async def test_those_that_wait_too_long_for_a_connection_are_unsent():
    async with serving(keeps_silent) as origin:
        load = open_loop(10, rate=1000, connections=1, timeout="100ms")
        found = await run(load, at(origin))
        assert len(origin.requests) < 10
    assert found.counts["timeout"] == len(origin.requests)
    assert found.counts == {"timeout": len(origin.requests), "unsent": 10 - len(origin.requests)}
    assert sorted(found.bytes_seen) == sorted(
        [SEEN_BROKEN] * found.counts["timeout"] + [SEEN_UNSENT] * found.counts["unsent"]
    )


@on_uvloop
async def test_a_timeout_closes_the_connection_because_the_answer_may_still_come():
    late = asyncio.Event()

    async def answers_the_first_late(connection: Connection) -> None:
        assert await connection.request()
        if connection.number == 0:
            assert await connection.until_gone() == b""
            late.set()
            return
        await connection.send(ok())
        await connection.until_gone()

    async with serving(answers_the_first_late) as origin:
        found = await run(open_loop(2, rate=2, connections=1, timeout="200ms"), at(origin))
        await late.wait()
        assert [request.connection for request in origin.requests] == [0, 1]
    assert found.counts == {"timeout": 1, "200": 1}


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", id="204"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 50\r\n\r\n", id="304 with a length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", id="empty"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", id="chunked"),
        pytest.param(b"HTTP/1.1 103 Early\r\nlink: a\r\n\r\n" + ok(), id="1xx first"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + ok(), id="two 1xx"),
        pytest.param(b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", id="1.0 keep-alive"),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
@on_uvloop
async def test_an_answer_is_complete_where_it_ends_and_the_connection_goes_on(reply: bytes, step: int):
    async def by_pieces(connection: Connection) -> None:
        while await connection.request():
            for begin in range(0, len(reply), step):
                await connection.send(reply[begin : begin + step])
                await asyncio.sleep(0)

    async with serving(by_pieces) as origin:
        found = await run(open_loop(4, connections=1, success=["2xx", "304"]), at(origin))
        assert [request.connection for request in origin.requests] == [0, 0, 0, 0]
    assert found.bytes_seen == [SEEN_SUCCESS] * 4


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", id="until close"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n", id="until close, empty"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", id="until close after 1xx"),
        pytest.param(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", id="connection: close"),
        pytest.param(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", id="1.0"),
    ],
)
@on_uvloop
async def test_an_answer_that_ends_with_its_connection_is_a_success(reply: bytes):
    async with serving(closing(reply)) as origin:
        found = await run(open_loop(3, connections=1), at(origin))
        assert [request.connection for request in origin.requests] == [0, 1, 2]
    assert found.counts == {"200": 3}


@pytest.mark.parametrize(
    "extra",
    [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 2", b"garbage", b"x"],
)
@on_uvloop
async def test_a_connection_with_bytes_after_the_answer_is_not_used_again(extra: bytes):
    async with serving(answering(ok() + extra)) as origin:
        found = await run(open_loop(3, connections=1), at(origin))
        assert [request.connection for request in origin.requests] == [0, 1, 2]
    assert found.counts == {"200": 3}


@on_uvloop
async def test_an_idle_connection_that_speaks_is_not_used_again():
    async def answers_twice(connection: Connection) -> None:
        while await connection.request():
            await connection.send(ok())
            await asyncio.sleep(0.01)
            await connection.send(status(500))

    async with serving(answers_twice) as origin:
        found = await run(open_loop(2, rate=3), at(origin))
        assert [request.connection for request in origin.requests] == [0, 1]
    assert found.counts == {"200": 2}


@on_uvloop
async def test_an_idle_connection_that_the_server_closes_is_replaced_without_a_word():
    async with serving(closing(ok())) as origin:
        found = await run(open_loop(2, rate=4), at(origin))
        assert origin.connections == 2
    assert found.counts == {"200": 2}


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(
    ("reply", "connections"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n", [0, 0, 0], id="with a length"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", [0, 0, 0], id="without"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", [0, 0, 0], id="chunked"),
        pytest.param(b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", [0, 0, 0], id="1xx first"),
        pytest.param(b"HTTP/1.1 200 OK\r\nconnection: Close\r\n\r\n", [0, 1, 2], id="close"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n", [0, 1, 2], id="1.0"),
        pytest.param(b"HTTP/1.0 200 OK\r\nconnection: x, keep-alive\r\n\r\n", [0, 0, 0], id="1.0 keep-alive"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", [0, 1, 2], id="with a body all the same"),
    ],
)
@on_uvloop
async def test_the_answer_to_head_ends_with_its_head(reply: bytes, connections: list[int], step: int):
    used: list[int] = []

    async def script(connection: Connection) -> None:
        while await head(connection):
            used.append(connection.number)
            for begin in range(0, last, step):
                await connection.send(reply[begin : min(begin + step, last)])
                await asyncio.sleep(0)
            await connection.send(reply[last:])

    last = reply.rindex(b"\r\n\r\n") + 3 if step == 1 else 0
    async with serving(script) as origin:
        found = await run(open_loop(3, connections=1, requests=[{"method": "HEAD"}]), at(origin))
    assert used == connections
    assert found.counts == {"200": 3}


@on_uvloop
async def test_an_answer_to_head_that_is_cut_or_no_http_is_told_so():
    async def cuts(connection: Connection) -> None:
        await head(connection)
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-le")

    async def babbles(connection: Connection) -> None:
        await head(connection)
        await connection.send(b"220 smtp ready\r\n")

    for script, outcome in ((cuts, "truncated"), (babbles, "bad_response")):
        async with serving(script) as origin:
            assert (await run(ONE | {"requests": [{"method": "HEAD"}]}, at(origin))).counts == {outcome: 1}


@on_uvloop
async def test_head_and_get_take_turns_on_a_connection():
    async def script(connection: Connection) -> None:
        while request := await connection.request():
            body = b"" if request.method == "HEAD" else b"hello"
            await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n" + body)

    async with serving(script) as origin:
        load = open_loop(30, rate=500, connections=1, requests=[{"method": "HEAD"}, {}])
        found = await run(load, at(origin))
        assert {request.method for request in origin.requests} == {"HEAD", "GET"}
        assert origin.connections == 1
    assert found.counts == {"200": 30}


@on_uvloop
async def test_a_request_answered_before_it_was_read_does_not_share_its_connection():
    async def script(connection: Connection) -> None:
        await head(connection)
        await connection.send(status(413))
        await connection.until_gone()

    async with serving(script) as origin:
        load = open_loop(2, rate=10, requests=[{"method": "POST", "body": "32MiB"}])
        found = await run(load, at(origin))
        assert origin.connections == 2
    assert found.counts == {"413": 2}


@pytest.mark.parametrize(("reply", "outcome"), [(b"", "closed"), (b"HTTP/1.1 413 No\r\n\r\ntoo much", "413")])
@on_uvloop
async def test_the_end_of_the_connection_is_heard_while_the_request_is_still_written(reply: bytes, outcome: str):
    async def script(connection: Connection) -> None:
        await head(connection)
        await connection.send(reply)
        connection.half_close()
        await forever()

    async with serving(script) as origin:
        found = await run(ONE | {"requests": [{"method": "POST", "body": "32MiB"}]}, at(origin))
    assert found.counts == {outcome: 1}


@on_uvloop
async def test_only_what_the_scenario_calls_success_is_one():
    async with serving(answering(status(404))) as origin:
        found = await run(ONE | {"success": ["2xx", "404"]}, at(origin))
    assert found.bytes_seen == [SEEN_SUCCESS]
