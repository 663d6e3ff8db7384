"""What is repeated, what is not, and what proves that it may be."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from meshproxy.proxy.connect import Connector
from meshproxy.proxy.upstream import Upstream
from meshproxy.wire import resources as wire
from tests.fakes.client import call, connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, answering, ok, serving, status
from tests.fakes.places import full_backlog, refusing
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service

POST = request("POST", "/", "echo", "content-length: 4") + b"body"
GET = request()
RETRY = wire.Retry(codes=[503], attempts=2, backoff_s=0.001)


def prefer(sidecar: Sidecar, port: int) -> None:
    """Let the next request go to the endpoint on this port."""
    for state in sidecar.backend().balancer.states:
        state.load = 1e-9 if state.spec.port == port else 1e9


def retries(sidecar: Sidecar) -> dict[str, int]:
    return dict(sidecar.slot.retries)


@on_uvloop
@pytest.mark.parametrize("ask", [GET, POST], ids=["GET", "POST"])
async def test_a_refused_connection_is_repeated_elsewhere_whatever_the_method(ask: bytes) -> None:
    dead = refusing()
    async with serving(answering(ok())) as origin, running(service("echo", [origin, dead])) as sidecar:
        prefer(sidecar, dead.port)
        assert (await call(sidecar.address, ask)).status == 200
        assert retries(sidecar) == {"connect": 1}
        assert [one.body for one in origin.requests] == [b"body" if ask == POST else b""]


@on_uvloop
async def test_a_service_that_refuses_everywhere_is_a_502() -> None:
    async with running(service("echo", [refusing()])) as sidecar:
        reply = await call(sidecar.address, POST)
        assert (reply.status, reply.fault) == (502, "connect_refused")
        assert (sidecar.finished[0].attempts, retries(sidecar)) == (3, {"connect": 2})


@on_uvloop
@pytest.mark.parametrize("ask", [GET, POST], ids=["GET", "POST"])
async def test_a_black_hole_is_left_after_the_connect_timeout(ask: bytes) -> None:
    backend = wire.Backend(connect_timeout_s=0.05)
    with full_backlog() as hole:
        async with (
            serving(answering(ok())) as origin,
            running(service("echo", [origin, hole], backend=backend)) as sidecar,
        ):
            prefer(sidecar, hole.port)
            assert (await call(sidecar.address, ask)).status == 200
            assert retries(sidecar) == {"connect_timeout": 1}


@on_uvloop
async def test_black_holes_everywhere_are_a_504_and_leave_nothing_open() -> None:
    backend = wire.Backend(connect_timeout_s=0.03)
    with full_backlog() as hole:
        async with running(service("echo", [hole], backend=backend)) as sidecar:
            reply = await call(sidecar.address, GET)
            assert (reply.status, reply.fault) == (504, "connect_timeout")
            (pool,) = sidecar.backend().pools
            assert (pool.dialing, pool.open, pool.idle) == (0, 0, 0)


@on_uvloop
@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("ask", [GET, POST], ids=["GET", "POST"])
async def test_a_connection_that_ends_before_anything_was_written_to_it_is_repeated(ask: bytes, end: str) -> None:
    """The server accepts and ends: our side often sees that before the connection is used at all."""

    async def script(connection: Connection) -> None:
        getattr(connection, end)()

    async with (
        serving(answering(ok())) as good,
        serving(script) as bad,
        running(service("echo", [good, bad])) as sidecar,
    ):
        for _ in range(20):
            prefer(sidecar, bad.port)
            reply = await call(sidecar.address, ask)
            one = sidecar.finished[-1]
            # Whether the end or our writing comes first is a race; both outcomes are right, a hanging request is not.
            assert reply.status == 200 or (one.attempts, reply.fault) == (1, "upstream_reset")
        assert set(retries(sidecar)) <= {"unwritten"}


@on_uvloop
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_reset_on_a_new_connection_is_not_repeated_unless_the_route_says_so(end: str) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        getattr(connection, end)()

    async with serving(answering(ok())) as good, serving(script) as bad:
        async with running(service("echo", [good, bad])) as sidecar:
            for ask in (GET, POST):
                prefer(sidecar, bad.port)
                reply = await call(sidecar.address, ask)
                assert (reply.status, reply.fault, sidecar.finished[-1].attempts) == (502, "upstream_reset", 1)
        async with running(service("echo", [good, bad], retry=RETRY)) as sidecar:
            prefer(sidecar, bad.port)
            assert (await call(sidecar.address, GET)).status == 200
            assert retries(sidecar) == {"reset": 1}
            prefer(sidecar, bad.port)
            assert (await call(sidecar.address, POST)).status == 502
            assert retries(sidecar) == {"reset": 1}


@on_uvloop
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_an_idempotent_request_on_a_reused_connection_that_ends_is_repeated_once_on_a_new_one(end: str) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(ok())
        await connection.request()
        getattr(connection, end)()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            for _ in range(3):
                assert (await client.get()).status == 200
        assert retries(sidecar) == {"reused": 2}
        assert origin.connections == 3


@on_uvloop
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_post_that_a_reused_connection_may_have_delivered_is_not_repeated(end: str) -> None:
    """The server reads the request, acts, and ends the connection without an answer."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(ok())
        await connection.request()
        getattr(connection, end)()

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            assert (await client.post(b"1")).status == 200
            reply = await client.post(b"2")
            assert (reply.status, reply.fault) == (502, "upstream_reset")
        assert [one.body for one in origin.requests] == [b"1", b"2"]
        assert retries(sidecar) == {}


class ClosingServer:
    """A server in a thread of its own, which closes its kept connection while the test's loop stands still: when the
    loop turns again, the FIN is there, and nothing has told the sidecar yet."""

    def __init__(self) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._sock.getsockname()
        self.bodies: list[bytes] = []
        self.close_now = threading.Event()
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for n in range(2):
            sock, _ = self._sock.accept()
            with sock:
                self.bodies.append(sock.recv(10_000).partition(b"\r\n\r\n")[2])
                sock.sendall(ok())
                if n == 0:
                    self.close_now.wait(10)
            if n == 0:
                self.closed.set()

    def stop(self) -> None:
        self._thread.join()
        self._sock.close()


@on_uvloop
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_post_on_a_connection_that_the_server_had_closed_before_is_repeated_by_proof(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The pool asks the kernel before it gives a connection away; the proof is for a FIN that comes after that look.
    monkeypatch.setattr(Upstream, "is_quiet", lambda self: not self.is_closed)
    server = ClosingServer()
    async with running(service("echo", [server])) as sidecar:
        exchanged = 0

        def send(body: bytes) -> bytes:
            return request(method, "/", "echo", f"content-length: {len(body)}") + body

        async with connected(sidecar.address) as client:
            await client.send(send(b"1"))
            assert (await client.response()).status == 200
            exchanged += 1
            # The sidecar gets request and FIN in one turn of the loop: it must write before it reads of the end.
            connection = sidecar.downstream
            server.close_now.set()
            server.closed.wait(10)
            connection.data_received(send(b"2"))
            reply = await client.response()
            assert reply.status == 200
        assert server.bodies == [b"1", b"2"]
        assert retries(sidecar) == {"unread": 1}
    server.stop()


@on_uvloop
async def test_a_status_is_repeated_when_the_route_names_it() -> None:
    async with serving(answering(ok())) as good, serving(answering(status(503))) as bad:
        async with running(service("echo", [good, bad], retry=RETRY)) as sidecar:
            for ask, expected in ((GET, 200), (POST, 503), (request("DELETE"), 200)):
                prefer(sidecar, bad.port)
                assert (await call(sidecar.address, ask)).status == expected
            assert retries(sidecar) == {"status": 2}
            assert bad.connections == 1
        async with running(service("echo", [good, bad])) as sidecar:
            prefer(sidecar, bad.port)
            assert (await call(sidecar.address, GET)).status == 503


@on_uvloop
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Busy\r\ncontent-length: 100000\r\n\r\nbegun",
        b"HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n",
        b"HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\n\r\nbegun",
    ],
)
async def test_a_repeated_answer_leaves_nothing_of_its_body_behind(answer: bytes) -> None:
    async with (
        serving(answering(ok(b"good"))) as good,
        serving(answering(answer)) as bad,
        running(service("echo", [good, bad], retry=RETRY)) as sidecar,
        connected(sidecar.address) as client,
    ):
        for _ in range(3):
            prefer(sidecar, bad.port)
            reply = await client.get()
            assert (reply.status, reply.body) == (200, b"good")


@on_uvloop
async def test_the_last_of_the_attempts_is_passed_on() -> None:
    async with (
        serving(answering(status(503, b"busy"))) as origin,
        running(service("echo", [origin], retry=RETRY)) as sidecar,
    ):
        reply = await call(sidecar.address, GET)
        assert (reply.status, reply.body, reply.fault) == (503, b"busy", "")
        assert (len(origin.requests), sidecar.finished[0].attempts) == (3, 3)


@on_uvloop
async def test_a_body_is_repeated_whole_while_it_is_within_the_bound() -> None:
    retry = wire.Retry(codes=[503], attempts=1)
    async with serving(answering(ok())) as good, serving(answering(status(503))) as bad:
        async with running(service("echo", [good, bad], retry=retry)) as sidecar:
            for size, expected in ((0, 200), (60_000, 200), (500_000, 503)):
                prefer(sidecar, bad.port)
                body = b"x" * size
                ask = request("PUT", "/", "echo", f"content-length: {size}") + body
                assert (await call(sidecar.address, ask)).status == expected
            prefer(sidecar, bad.port)
            chunked = request("PUT", "/", "echo", "transfer-encoding: chunked")
            reply = await call(sidecar.address, chunked + b"5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n")
            assert reply.status == 200
        assert [len(one.body) for one in good.requests] == [0, 60_000, 5]
        assert good.requests[-1].trailers == [("X-Sum", "5")]


@on_uvloop
async def test_a_body_that_is_still_coming_continues_on_the_next_attempt() -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        assert await connection.some_body() == b"first"
        await connection.send(status(503))
        await connection.until_gone()

    async with serving(answering(ok())) as good, serving(script) as bad:
        async with running(service("echo", [good, bad], retry=RETRY)) as sidecar:
            prefer(sidecar, bad.port)
            async with connected(sidecar.address) as client:
                await client.send(request("PUT", "/", "echo", "content-length: 10") + b"first")
                await until(lambda: good.requests)
                await client.send(b"later")
                assert (await client.response()).status == 200
        await until(lambda: good.requests[0].body == b"firstlater")


@on_uvloop
async def test_a_body_that_comes_before_there_is_a_connection_is_held_back_at_the_bound() -> None:
    backend = wire.Backend(connect_timeout_s=0.3)
    size = 5_000_000
    with full_backlog() as hole:
        async with serving(answering(ok())) as good, running(service("echo", [good, hole], backend=backend)) as sidecar:
            prefer(sidecar, hole.port)
            async with connected(sidecar.address) as client:
                ask = request("POST", "/", "echo", f"content-length: {size}") + b"x" * size
                sending = asyncio.create_task(client.send(ask))
                await until(lambda: sidecar.stack.connections and not sidecar.downstream._is_reading)
                assert sidecar.downstream.exchange.replay_bytes < 65_536 + 300_000
                assert (await client.response()).status == 200
                await sending
        assert len(good.requests[0].body) == size


@on_uvloop
async def test_the_budget_bounds_repetitions_and_says_so() -> None:
    backend = wire.Backend(retry_budget=wire.RetryBudget(percent=10, min_per_s=0.1, window_s=10))
    async with (
        serving(answering(status(503))) as origin,
        running(service("echo", [origin], backend=backend, retry=RETRY)) as sidecar,
    ):
        async with connected(sidecar.address) as client:
            for _ in range(50):
                assert (await client.get()).status == 503
        assert len(origin.requests) == 50 + 5
        assert sidecar.slot.budget_refused >= 40


@on_uvloop
async def test_whoever_waits_for_a_new_connection_after_a_race_is_not_given_a_used_one() -> None:
    """One request has lost its reused connection; that of another comes back before its own is established."""
    finish, dial = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        while one := await connection.request():
            if one.target == "/race" and connection.number < 2:
                return
            if one.target == "/slow":
                await finish.wait()
            await connection.send(ok(b"%d" % connection.number))

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        both = [asyncio.create_task(call(sidecar.address, request("GET", "/slow"))) for _ in range(2)]
        await until(lambda: len(origin.requests) == 2)
        finish.set()
        await asyncio.gather(*both)
        finish.clear()

        class Gated(Connector):
            async def connect(self, upstream: Upstream, backend: str, spec: wire.Endpoint) -> None:
                await dial.wait()
                await super().connect(upstream, backend, spec)

        sidecar.stack.connector = Gated(sidecar.loop, None, sidecar.events.plain_to_meshed)
        (pool,) = sidecar.backend().pools
        slow = asyncio.create_task(call(sidecar.address, request("GET", "/slow")))
        await until(lambda: len(origin.requests) == 3)
        race = asyncio.create_task(call(sidecar.address, request("GET", "/race")))
        await until(lambda: pool.dialing == 1)
        finish.set()
        assert (await slow).status == 200
        dial.set()
        assert (await race).body == b"2"
        assert retries(sidecar) == {"reused": 1}
