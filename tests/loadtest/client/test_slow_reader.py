"""A caller that reads slowly."""

from __future__ import annotations

from time import monotonic

from tests.fakes.loop import on_uvloop
from tests.fakes.origin import Connection, ok, serving
from tests.loadtest.client.runs import at, open_loop, run

BODY = bytes(200_000)


@on_uvloop
async def test_a_slow_reader_is_slow_on_the_wire_and_others_are_not():
    took_s: dict[str, float] = {}

    async def script(connection: Connection) -> None:
        while request := await connection.request():
            begun_s = monotonic()
            # The send buffer is small, so that what was sent is what the other side made room for.
            connection.sock.setsockopt(1, 7, 4096)  # SOL_SOCKET, SO_SNDBUF
            await connection.send(ok(BODY))
            took_s[request["x-request-id"]] = monotonic() - begun_s
            paths[request["x-request-id"]] = request.target

    paths: dict[str, str] = {}
    async with serving(script) as origin:
        slow = {"path": "/slow", "read": "200KiB"}
        found = await run(open_loop(12, rate=100, requests=[{"path": "/fast"}, slow], timeout="20s"), at(origin))
    assert found.counts == {"200": 12}
    assert set(paths.values()) == {"/slow", "/fast"}
    for name, path in paths.items():
        # 200 000 bytes at 204 800 a second take 0.97 s; the last of them are in the buffers of both ends.
        assert (took_s[name] > 0.6) == (path == "/slow"), (path, took_s[name])
    slow_ones = sum(path == "/slow" for path in paths.values())
    assert sum(latency > 900_000 for latency in found.latencies) == slow_ones


@on_uvloop
async def test_a_slow_reader_has_a_connection_of_its_own():
    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(ok(b"short"))

    async with serving(script) as origin:
        found = await run(open_loop(6, rate=50, connections=2, requests=[{"read": "1KiB"}]), at(origin))
        assert origin.connections == 6
        assert {request["connection"] for request in origin.requests} == {"close"}
    assert found.counts == {"200": 6}
    assert found.most_open <= 2


@on_uvloop
async def test_slow_readers_and_others_share_the_limit():
    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(ok(b"short"))

    async with serving(script) as origin:
        load = open_loop(60, rate=300, connections=1, requests=[{"read": "1KiB"}, {}])
        found = await run(load, at(origin))
        assert len({request.connection for request in origin.requests}) == origin.connections
    assert found.counts == {"200": 60}
    assert found.most_open <= 1


@on_uvloop
async def test_a_slow_reader_runs_out_of_time_like_any_other():
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(ok(BODY))

    async with serving(script) as origin:
        found = await run(open_loop(1, requests=[{"read": "1KiB"}], timeout="200ms"), at(origin))
    assert found.counts == {"timeout": 1}
