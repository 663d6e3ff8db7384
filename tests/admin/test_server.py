from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager

import h11
import pytest
from prometheus_client.parser import text_string_to_metric_families

from meshproxy.admin import connection
from meshproxy.admin.desk import Desk
from meshproxy.admin.server import MAX_CONNECTIONS, AdminServer
from meshproxy.wire import snapshot
from tests.fakes.loop import on_uvloop, until
from tests.fakes.view import FakeView

GET_LIVE = b"GET /healthz/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def serving(view=None, *, is_public=False):
    server = AdminServer(Desk(view or FakeView(), is_public=is_public))
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        server.close()
        server.abort()
        await until(lambda: not server.open_connections)


async def talk(port: int, data: bytes, *, half_close: bool = False) -> bytes:
    """Send, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if half_close:
        writer.write_eof()
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def responses(data: bytes, methods: list[str]) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    """Read answers by an independent parser, which refuses what is malformed."""
    client = None
    found = []
    for method in methods:
        if client is None:
            client = h11.Connection(h11.CLIENT)
            client.receive_data(data)
            client.receive_data(b"")
        else:
            client.start_next_cycle()
        client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        head, body = None, b""
        while True:
            event = client.next_event()
            assert event is not h11.NEED_DATA
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        found.append((head.status_code, dict(head.headers), body))
    return found


async def curl(*args: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--noproxy", "*", "--max-time", "10", *args,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode, output


@on_uvloop
async def test_curl_gets_what_there_is():
    view = FakeView(services=50, endpoints=100)
    view.registry.exchange("inbound", "a", "b", "c", "http").finish(200, "", "", 0.1, 0.1)
    async with serving(view) as (_, port):
        base = f"http://127.0.0.1:{port}"
        assert await curl(f"{base}/healthz/ready") == (0, b"ready\n")
        code, text = await curl(f"http://localhost:{port}/config", "-4")
        assert code == 0
        assert len(snapshot.load(text).entries) == 150
        code, text = await curl(f"{base}/metrics")
        assert code == 0
        assert "meshproxy_requests" in [f.name for f in text_string_to_metric_families(text.decode())]
        code, text = await curl("--http1.0", f"{base}/endpoints")
        assert len(json.loads(text)["endpoints"]) == 5000
        code, text = await curl("-o", "-", "-w", " %{http_code} %{num_connects}", "-I", f"{base}/metrics")
        assert code == 0
        assert text.endswith(b" 200 1")
        code, text = await curl("-X", "POST", "-w", "%{http_code}", f"{base}/drain")
        assert (code, text) == (0, b"draining\n202")
        assert view.drains == 1
        code, text = await curl("-H", "Host: evil.example", "-w", "%{http_code}", f"{base}/config")
        assert text.endswith(b"403")
        # One connection for several requests, and a body that asks for leave first.
        code, text = await curl(
            "-H", "Expect: 100-continue", "-d", "x" * 5000, "-w", "%{num_connects} ", f"{base}/drain",
            "--next", "-sS", "--noproxy", "*", "-w", "%{num_connects}", f"{base}/healthz/live",
        )  # fmt: skip
        assert (code, text) == (0, b"draining\n1 live\n0")


@on_uvloop
async def test_pipelined_requests_are_answered_in_order_and_a_head_without_body():
    data = (
        b"GET /healthz/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"HEAD /config HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
        b"POST /drain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    view = FakeView(services=100, endpoints=30)
    async with serving(view) as (_, port):
        found = responses(await talk(port, data), ["GET", "HEAD", "POST", "POST", "GET", "GET"])
    assert [status for status, _, _ in found] == [200, 200, 202, 202, 200, 404]
    assert found[0][2] == b"live\n"
    assert found[1][2] == b""
    assert found[1][1][b"transfer-encoding"] == b"chunked"
    assert len(snapshot.load(found[4][2]).entries) == 300
    assert found[5][1][b"connection"] == b"close"
    assert view.drains == 2


@on_uvloop
async def test_requests_may_come_byte_by_byte():
    async with serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.get_extra_info("socket").setsockopt(6, 1, 1)  # TCP_NODELAY
        for byte in GET_LIVE:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"live\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()


@on_uvloop
async def test_a_client_that_closes_its_half_gets_its_answer():
    async with serving(FakeView(services=200)) as (_, port):
        for target, least in ((b"/config", 20_000), (b"/healthz/live", 5)):
            answer = await talk(port, b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % target, half_close=True)
            ((status, _, body),) = responses(answer, ["GET"])
            assert status == 200
            assert len(body) >= least
        answer = await talk(port, b"GARBAGE\r\n\r\n", half_close=True)
        assert responses(answer, ["GET"])[0][0] == 400


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n", 413),
        (b"POST /drain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
         + (b"ffff\r\n" + b"a" * 65535 + b"\r\n") * 2, 413),
        (b"GET /config HTTP/1.0\r\n\r\n", 403),
    ],
)  # fmt: skip
@on_uvloop
async def test_what_is_refused_is_answered_and_closed(data, status):
    view = FakeView()
    async with serving(view) as (_, port):
        ((got, headers, _),) = responses(await talk(port, data), ["GET"])
        assert got == status
        assert headers[b"connection"] == b"close"
    assert view.drains == 0


@on_uvloop
async def test_every_answer_says_that_it_is_not_to_be_stored_or_sniffed():
    async with serving() as (_, port):
        answer = await talk(port, GET_LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        _, headers, _ = responses(answer, ["GET"])[0]
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"date"].endswith(b" GMT")


@on_uvloop
async def test_slow_requests_and_idle_connections_end(monkeypatch):
    monkeypatch.setattr(connection, "REQUEST_S", 0.05)
    monkeypatch.setattr(connection, "IDLE_S", 0.05)
    async with serving() as (_, port):
        assert await talk(port, b"") == b""
        assert responses(await talk(port, b"GET /healthz"), ["GET"])[0][0] == 408
        body = b"POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc"
        assert responses(await talk(port, body), ["GET"])[0][0] == 408
        assert responses(await talk(port, GET_LIVE), ["GET"])[0][0] == 200


class Endless(FakeView):
    """Resources without an end, counted as they are asked for."""

    made = 0

    def resources(self):
        entry = self.entries[0]
        while True:
            self.made += 1
            yield entry


@on_uvloop
async def test_a_reader_that_stands_still_holds_up_nothing_and_is_cut_off(monkeypatch):
    view = Endless()
    async with serving(view) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readexactly(10)
        (conn,) = server._connections
        await until(lambda: not conn._is_writable)
        made = view.made
        assert responses(await talk(port, GET_LIVE, half_close=True), ["GET"])[0][0] == 200
        assert view.made == made  # nothing is made that nobody takes
        assert conn._transport.get_write_buffer_size() < 3 * connection.WRITE_BYTES
        # It goes on when the reader does, and stalls for good when that stops.
        monkeypatch.setattr(connection, "STALL_S", 0.05)
        await reader.readexactly(20 << 20)
        assert view.made > made
        await until(lambda: server.open_connections == 0)
        writer.close()


@on_uvloop
async def test_a_long_answer_lets_others_in_between():
    view = Endless()
    async with serving(view) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readexactly(1000)
        drain = asyncio.get_running_loop().create_task(reader.read(1 << 30))
        for _ in range(10):
            assert b"live" in await talk(port, GET_LIVE, half_close=True)
        drain.cancel()
        writer.close()


@on_uvloop
async def test_input_that_waits_is_bounded():
    async with serving(Endless()) as (server, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET_LIVE * 100_000)
        await until(lambda: server._connections and next(iter(server._connections))._is_paused)
        (conn,) = server._connections
        assert conn._parser.buffered_bytes < 4 * connection.READ_BYTES + 262_144
        writer.transport.abort()


@on_uvloop
async def test_many_pipelined_requests_are_all_answered():
    count = 5000
    async with serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET_LIVE * count)
        writer.write_eof()
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
    assert answer.count(b"live\n") == count


@on_uvloop
async def test_connections_are_bounded_and_the_oldest_silent_one_makes_way():
    async with serving() as (server, port):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]
        await until(lambda: server.open_connections == MAX_CONNECTIONS)
        assert b"live" in await talk(port, GET_LIVE, half_close=True)
        with pytest.raises((ConnectionError, EOFError)):
            await held[0][0].readexactly(1)
        assert server.open_connections <= MAX_CONNECTIONS
        for _, writer in held:
            writer.close()
        await until(lambda: server.open_connections == 0)


@on_uvloop
async def test_closing_lets_the_answer_in_progress_end_and_idle_ones_go():
    view = FakeView(services=3000, endpoints=30)
    async with serving(view) as (server, port):
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n")
        start = await reader.readexactly(10)
        await until(lambda: server.open_connections == 2)
        server.close()
        assert await idle_reader.read() == b""
        answer = start + await reader.read()
        assert len(json.loads(responses(answer, ["GET"])[0][2])["resources"]) == 9000
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        idle_writer.close()
        writer.close()


class Broken(FakeView):
    def unready(self) -> str:
        raise LookupError("told to")

    def resources(self):
        yield from self.entries * 1000
        raise LookupError("told to")


@on_uvloop
async def test_a_defect_is_answered_or_cut_off_and_logged(caplog):
    caplog.set_level(logging.ERROR)
    async with serving(Broken()) as (_, port):
        answer = await talk(port, b"GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert responses(answer, ["GET"])[0][0] == 500
        with pytest.raises((ConnectionError, h11.RemoteProtocolError)):
            responses(await talk(port, b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n"), ["GET"])
        assert b"live" in await talk(port, GET_LIVE, half_close=True)
    assert len([record for record in caplog.records if record.exc_info]) == 2


@on_uvloop
async def test_the_health_listener_takes_any_host():
    async with serving(is_public=True) as (_, port):
        answer = await talk(port, GET_LIVE.replace(b"localhost", b"10.0.0.7:15020"), half_close=True)
        assert responses(answer, ["GET"])[0][0] == 200
        answer = await talk(port, b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n", half_close=True)
        assert responses(answer, ["GET"])[0][0] == 404


class Late(FakeView):
    """Its endpoints come when `gate` opens; as a defect, if `is_broken`."""

    def __init__(self, *, is_broken: bool = False) -> None:
        super().__init__(services=20, endpoints=100)
        self.gate = asyncio.Event()
        self.waiting = 0
        self.is_broken = is_broken

    async def endpoints(self):
        self.waiting += 1
        await self.gate.wait()
        if self.is_broken:
            raise LookupError("told to")
        return self.rows


GET_ENDPOINTS = b"GET /endpoints HTTP/1.1\r\nHost: localhost\r\n\r\n"


@on_uvloop
async def test_an_answer_that_has_to_be_waited_for_holds_up_nobody_else():
    view = Late()
    async with serving(view) as (server, port):
        late = asyncio.create_task(talk(port, GET_ENDPOINTS + GET_LIVE, half_close=True))
        _, gone = await asyncio.open_connection("127.0.0.1", port)
        gone.write(GET_ENDPOINTS)
        await until(lambda: view.waiting == 2)
        gone.transport.abort()
        assert b"live" in await talk(port, GET_LIVE, half_close=True)
        # A HEAD need not wait for what it does not get.
        answer = await talk(port, b"HEAD" + GET_ENDPOINTS[3:], half_close=True)
        assert responses(answer, ["HEAD"])[0][0] == 200
        view.gate.set()
        first, second = responses(await late, ["GET", "GET"])
        assert len(json.loads(first[2])["endpoints"]) == 2000
        assert second[2] == b"live\n"
        await until(lambda: server.open_connections == 0)


@on_uvloop
async def test_a_defect_in_an_answer_that_was_waited_for_cuts_it_off(caplog):
    caplog.set_level(logging.ERROR)
    view = Late(is_broken=True)
    view.gate.set()
    async with serving(view) as (_, port):
        with pytest.raises((ConnectionError, h11.RemoteProtocolError)):
            responses(await talk(port, GET_ENDPOINTS), ["GET"])
    assert len([record for record in caplog.records if record.exc_info]) == 1
