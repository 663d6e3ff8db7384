"""Every word of `faults.py`: reached for real, and the same in status, Proxy-Status, access log and metric label."""

from __future__ import annotations

import contextlib
import errno
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from meshproxy.faults import FAULTS
from meshproxy.metrics.exposition import expose
from meshproxy.proxy import downstream, exchange
from meshproxy.proxy.access import AccessLog
from meshproxy.tls.reload import IdentityStore
from meshproxy.wire import resources as wire
from meshproxy.wire.change import Outlook
from tests.fakes.client import Address, Reply, call, connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, Script, answering, closing, ok, serving
from tests.fakes.pki import Authority, make_ca, make_identity
from tests.fakes.places import full_backlog, refusing
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service

GET = request()
UPLOAD = request("POST", "/", "echo", "content-length: 10") + b"abc"
Case: TypeAlias = Callable[["Bench"], Awaitable[Reply | None]]


class Lines:
    """Where the access log writes to."""

    def __init__(self) -> None:
        self.entries: list[dict] = []

    def write(self, line: bytes) -> None:
        self.entries.append(json.loads(line))


class Bench:
    """What a case may use: the place for its files, and the switch of time limits."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ca: Authority) -> None:
        self.tmp_path = tmp_path
        self.monkeypatch = monkeypatch
        self.ca = ca
        self.lines = Lines()
        self.metrics = ""

    @contextlib.asynccontextmanager
    async def sidecar(self, *args, **kwargs) -> AsyncIterator[Sidecar]:
        async with running(*args, **kwargs) as sidecar:
            sidecar.stack.log_exchange = AccessLog(self.lines, "json").write
            yield sidecar
            await until(lambda: self.lines.entries)
            self.metrics = b"".join(expose(sidecar.registry)).decode()

    async def ask(self, script: Script, data: bytes = GET, **rule) -> Reply:
        """One request to a Service with one endpoint."""
        async with serving(script) as origin, self.sidecar(service("echo", [origin], **rule)) as sidecar:
            return await call(sidecar.address, data)

    async def ask_nobody(self, data: bytes, entries=(), method: str = "GET") -> Reply:
        """One request that reaches no endpoint."""
        async with self.sidecar(entries) as sidecar:
            return await call(sidecar.address, data, method)

    def identities(self, name: str) -> IdentityStore:
        spiffe_id = f"spiffe://cluster.local/ns/default/sa/{name}"
        return IdentityStore(make_identity(self.tmp_path / name, spiffe_id, self.ca), "default", name, time.time())


async def hang(connection: Connection) -> None:
    await connection.head()
    await connection.until_gone()


def one_backend(**values) -> list:
    backend = wire.RouteBackend(**values)
    return service("echo", [], rules=[wire.Rule(name="r", backends=[backend])])


async def head_timeout(bench: Bench) -> Reply:
    bench.monkeypatch.setattr(downstream, "HEAD_TIMEOUT_S", 0.05)
    return await bench.ask_nobody(b"GET / HTTP/1.1\r\nHost: e")


async def body_timeout(bench: Bench) -> Reply:
    bench.monkeypatch.setattr(exchange, "STREAM_IDLE_S", 0.05)
    return await bench.ask(hang, UPLOAD)


async def stream_idle(bench: Bench) -> Reply:
    bench.monkeypatch.setattr(exchange, "STREAM_IDLE_S", 0.05)
    return await bench.ask(hang)


async def client_gone(bench: Bench) -> None:
    async with (
        serving(hang) as origin,
        bench.sidecar(service("echo", [origin])) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(GET)
        await until(lambda: origin.requests)


async def no_route(bench: Bench) -> Reply:
    match = wire.RouteMatch(rule=0, path=wire.PathMatch(value="/only"))
    return await bench.ask_nobody(GET, service("echo", [], matches=[match]))


async def discovery_timeout(bench: Bench) -> Reply:
    bench.monkeypatch.setattr(exchange, "PARK_S", 0.05)
    async with bench.sidecar() as sidecar:
        sidecar.stack.want = lambda *_: Outlook.COMING
        return await call(sidecar.address, GET)


async def discovery_refused(bench: Bench) -> Reply:
    async with bench.sidecar() as sidecar:
        sidecar.stack.want = lambda *_: Outlook.REFUSED
        return await call(sidecar.address, GET)


async def overloaded(bench: Bench) -> Reply:
    entries = wire.Backend(breaker=wire.Breaker(max_requests=1))
    async with (
        serving(hang) as origin,
        bench.sidecar(service("echo", [origin], backend=entries)) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(GET)
        await until(lambda: origin.requests)
        return await call(sidecar.address, GET)


async def out_of_descriptors(bench: Bench) -> Reply:
    async with bench.sidecar(service("echo", [refusing()])) as sidecar:

        class Starved(type(sidecar.stack.connector)):
            async def connect(self, *_: object) -> None:
                raise OSError(errno.EMFILE, "Too many open files")

        sidecar.stack.connector = Starved(sidecar.loop, None, sidecar.events.plain_to_meshed)
        reply = await call(sidecar.address, GET)
        (state,) = sidecar.backend().balancer.states
        assert state.failures == 0, "the endpoint is not to blame"
        return reply


async def loop(bench: Bench) -> Reply:
    async with bench.sidecar() as sidecar:
        host, port = sidecar.address
        sidecar.use(service("echo", [wire.Endpoint(address=host, port=port)]))
        return await call(sidecar.address, GET)


async def internal(bench: Bench) -> Reply:
    async with bench.sidecar(service("echo", [refusing(), refusing()])) as sidecar:

        def broken() -> float:
            raise ZeroDivisionError

        sidecar.stack.rng = broken
        reply = await call(sidecar.address, GET)
        assert [type(defect) for defect in sidecar.defects] == [ZeroDivisionError]
        sidecar.defects.clear()
        return reply


async def connect_timeout(bench: Bench) -> Reply:
    with full_backlog() as hole:
        backend = wire.Backend(connect_timeout_s=0.03)
        return await bench.ask_nobody(GET, service("echo", [hole], backend=backend))


async def connect_failed(bench: Bench) -> Reply:
    broadcast = wire.Endpoint(address="255.255.255.255", port=80)
    return await bench.ask_nobody(GET, service("echo", [broadcast]))


async def _meshed(bench: Bench, address: Address, expected: str) -> Reply:
    spec = wire.Endpoint(address=address[0], port=address[1], meshed=True, identity=expected)
    async with bench.sidecar(service("echo", [spec]), identities=bench.identities("client")) as sidecar:
        return await call(sidecar.address, GET)


async def tls_failure(bench: Bench) -> Reply:
    async with serving(closing(b"plain")) as origin:
        return await _meshed(bench, (origin.host, origin.port), "spiffe://cluster.local/ns/default/sa/server")


async def identity_mismatch(bench: Bench) -> Reply:
    async with (
        serving(answering(ok())) as app,
        running(app=(app.host, app.port), identities=bench.identities("server")) as server,
    ):
        return await _meshed(bench, server.address, "spiffe://cluster.local/ns/default/sa/other")


CASES: dict[str, Case] = {
    "bad_request": lambda bench: bench.ask_nobody(b"GET / HTTP/1.1\r\n\r\n"),
    "head_too_large": lambda bench: bench.ask_nobody(request("GET", "/", "echo", f"x: {'y' * 70_000}")),
    "head_timeout": head_timeout,
    "body_timeout": body_timeout,
    "client_gone": client_gone,
    "method_refused": lambda bench: bench.ask_nobody(request("CONNECT", "echo:80", "echo:80")),
    "no_service": lambda bench: bench.ask_nobody(request("GET", "/", "nobody")),
    "no_port": lambda bench: bench.ask_nobody(request("GET", "/", "echo:81"), service("echo", [])),
    "no_route": no_route,
    "discovery_timeout": discovery_timeout,
    "discovery_refused": discovery_refused,
    "egress_refused": lambda bench: bench.ask_nobody(request("GET", "/", "www.example.org")),
    "backend_missing": lambda bench: bench.ask_nobody(GET, one_backend(fault="backend_missing")),
    "ref_not_permitted": lambda bench: bench.ask_nobody(GET, one_backend(fault="ref_not_permitted")),
    "backend_unsupported": lambda bench: bench.ask_nobody(GET, one_backend(fault="backend_unsupported")),
    "no_endpoints": lambda bench: bench.ask_nobody(GET, service("echo", [])),
    "overloaded": overloaded,
    "out_of_descriptors": out_of_descriptors,
    "loop": loop,
    "internal": internal,
    "connect_refused": lambda bench: bench.ask_nobody(GET, service("echo", [refusing()])),
    "connect_failed": connect_failed,
    "connect_timeout": connect_timeout,
    "tls_failure": tls_failure,
    "identity_mismatch": identity_mismatch,
    "upstream_reset": lambda bench: bench.ask(closing(b"")),
    "bad_response": lambda bench: bench.ask(closing(b"SSH-2.0-x\r\n")),
    "response_head_too_large": lambda bench: bench.ask(closing(b"HTTP/1.1 200 OK\r\nx: %b\r\n\r\n" % (b"y" * 70_000))),
    "response_incomplete": lambda bench: bench.ask(closing(b"HTTP/1.1 200 OK\r\n")),
    "request_timeout": lambda bench: bench.ask(hang, timeouts=wire.Timeouts(request_s=0.05)),
    "attempt_timeout": lambda bench: bench.ask(hang, timeouts=wire.Timeouts(backend_request_s=0.05)),
    "stream_idle": stream_idle,
}


@pytest.fixture(scope="module")
def ca() -> Authority:
    return make_ca()


@on_uvloop
@pytest.mark.parametrize("word", FAULTS)
async def test_a_fault_has_one_word_everywhere(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ca: Authority
) -> None:
    fault = FAULTS[word]
    bench = Bench(tmp_path, monkeypatch, ca)
    reply = await CASES[word](bench)
    if reply is None:
        assert word == "client_gone"
    else:
        assert reply.status == fault.status
        assert reply["proxy-status"] == f'meshproxy; error={fault.error}; details="{word}"'
        assert reply.body.decode().startswith(f"{word}: {fault.meaning}\n")
    lines = [line for line in bench.lines.entries if line["fault"] == word]
    assert [line["status"] for line in lines] == [fault.status]
    assert f'code="{fault.status}",fault="{word}"' in bench.metrics


@on_uvloop
async def test_a_fault_after_the_head_has_its_word_in_log_and_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ca: Authority
) -> None:
    bench = Bench(tmp_path, monkeypatch, ca)
    reply = await bench.ask(closing(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"))
    assert (reply.status, reply.is_complete) == (200, False)
    (line,) = bench.lines.entries
    assert (line["status"], line["fault"]) == (200, "response_incomplete")
    assert 'code="200",fault="response_incomplete"' in bench.metrics


@on_uvloop
async def test_the_log_tells_where_an_exchange_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ca: Authority
) -> None:
    bench = Bench(tmp_path, monkeypatch, ca)
    async with serving(answering(ok(b"hello"))) as origin, bench.sidecar(service("echo", [origin])) as sidecar:
        ask = request("POST", "/a?token=secret", "echo", "content-length: 3", "x-request-id: id-1", "user-agent: me")
        await call(sidecar.address, ask + b"abc")
    (line,) = bench.lines.entries
    assert {key: line[key] for key in ("direction", "service", "route", "backend", "endpoint", "method", "path")} == {
        "direction": "outbound",
        "service": "default/echo:80",
        "route": "default/echo/0",
        "backend": "default/echo:80",
        "endpoint": f"{origin.host}:{origin.port}",
        "method": "POST",
        "path": "/a",
    }
    assert (line["status"], line["fault"], line["attempts"], line["sent_bytes"], line["received_bytes"]) == (
        200, "", 1, 3, 5,
    )  # fmt: skip
    assert (line["request_id"], line["user_agent"]) == ("id-1", "me")
    assert "secret" not in json.dumps(line)


@on_uvloop
async def test_the_endpoint_that_is_tried_last_is_named_when_all_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ca: Authority
) -> None:
    bench = Bench(tmp_path, monkeypatch, ca)
    dead = refusing()
    await bench.ask_nobody(GET, service("echo", [dead]))
    assert bench.lines.entries[0]["endpoint"] == f"{dead.address}:{dead.port}"
    assert bench.lines.entries[0]["attempts"] == 3
