"""The whole sidecar with a control plane: what it calls comes, changes, and stays when the control plane goes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshproxy import app as subject
from meshproxy.app import App
from meshproxy.config import Address, Settings
from meshproxy.proxy import exchange
from tests.fakes.client import Reply, call, connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import answering, ok, serving
from tests.fakes.pki import make_ca, make_identity
from tests.fakes.places import refusing
from tests.fakes.plane import pushing
from tests.fakes.snapshots import service

HERE = ("127.0.0.1", 0)


@contextlib.asynccontextmanager
async def following(*urls: str, namespace: str = "default", **settings) -> AsyncIterator[App]:
    """An outbound sidecar of these control planes, as soon as it listens."""
    app = App(
        Settings(
            snapshot=None,
            control=urls,
            namespace=namespace,
            service_account="client",
            workload="client-1",
            admin=HERE,
            outbound=HERE,
            **{"drain_s": 0.0, **settings},
        )
    )
    running = asyncio.create_task(app.run())
    try:
        await until(lambda: app._is_started or running.done())
        yield app
    finally:
        app.drain()
        assert await running == 0
        gc.unfreeze()


def _outbound(app: App) -> Address:
    (address,) = app.worker.outbound.own_addresses - set(app._admin_addresses)
    return address


async def _admin(app: App, path: str) -> Reply:
    return await call(app._admin_addresses[0], request("GET", path, "localhost"))


async def _get(app: App, host: str = "echo") -> Reply:
    return await call(_outbound(app), request("GET", "/", host))


@on_uvloop
async def test_the_first_call_of_a_service_anywhere_waits_for_it() -> None:
    async with (
        serving(answering(ok(b"here"))) as origin,
        pushing(service("echo", [origin])) as plane,
        following(plane.url, namespace="elsewhere") as app,
    ):
        await until(lambda: not app.unready())
        assert app.worker.entries == {}
        for _ in range(2):
            assert (await _get(app, "echo.default")).body == b"here"
        assert set(app.worker.entries) == set(plane.entries)
        reply = await _get(app, "nowhere.default")
        assert (reply.status, reply.fault) == (404, "no_service")
        # It comes to exist: nobody has to ask again.
        plane.use(service("nowhere", [origin]))
        await until(lambda: "routes/default/nowhere:80" in app.worker.entries)
        assert (await _get(app, "nowhere.default")).status == 200


@on_uvloop
async def test_a_change_takes_effect_without_being_asked_for() -> None:
    async with (
        serving(answering(ok(b"old"))) as old,
        serving(answering(ok(b"new"))) as new,
        pushing(service("echo", [old])) as plane,
        following(plane.url) as app,
    ):
        assert (await _get(app)).body == b"old"
        backend = app.worker.outbound.services.backends["default/echo:80"]
        plane.use(service("echo", [new])[2:3])
        await until(lambda: [state.spec.port for state in backend.balancer.states] == [new.port])
        assert (await _get(app)).body == b"new"
        plane.drop(*(entry.name for entry in service("echo", [])))
        await until(lambda: not app.worker.entries)
        assert (await _get(app)).fault == "no_service"


@on_uvloop
async def test_it_is_live_and_not_ready_until_its_first_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PARK_S", 0.1)
    async with serving(answering(ok())) as origin:
        async with pushing() as gone:
            port = gone.address[1]
        async with following(gone.url) as app:
            assert (await _admin(app, "/healthz/live")).status == 200
            reply = await _admin(app, "/healthz/ready")
            assert reply.status == 503
            assert f"waiting for the first configuration from {gone.url}".encode() in reply.body
            assert (await _get(app)).fault == "discovery_timeout"
            state = json.loads((await _admin(app, "/stream")).body)
            assert (state["connected_to"], state["is_synced"]) == ("", False)
            async with pushing(service("echo", [origin]), port):
                await until(lambda: not app.unready())
                assert (await _admin(app, "/healthz/ready")).status == 200
                assert (await _get(app)).status == 200
                state = json.loads((await _admin(app, "/stream")).body)
                assert state["connected_to"] == gone.url
                page = (await _admin(app, "/")).body.decode()
                assert f"connected_to: {gone.url}\n" in page
                assert f"connected_at: {state['connected_at']}\n" in page
                assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", state["connected_at"])
            # What it has stays, ready or not ready as before.
            await until(lambda: not app._source.is_connected)
            assert (await _get(app)).status == 200
            assert (await _admin(app, "/healthz/ready")).status == 200


@on_uvloop
async def test_a_restart_while_there_is_no_control_plane_serves_what_was_known(tmp_path: Path) -> None:
    async with serving(answering(ok(b"kept"))) as origin:
        async with pushing(service("echo", [origin])) as plane, following(plane.url, state_dir=tmp_path) as app:
            assert (await _get(app)).status == 200
        async with following(plane.url, state_dir=tmp_path) as app:
            assert not app.unready()
            assert (await _get(app)).body == b"kept"


@on_uvloop
async def test_the_control_plane_reads_what_admin_serves() -> None:
    async with pushing(service("echo", [refusing()])) as plane, following(plane.url) as app:
        await until(lambda: app.worker.entries)
        for what in ("config", "endpoints", "metrics"):
            body = await plane.hub.ask("default", "client-1", what)
            assert body.splitlines()[:1] == (await _admin(app, f"/{what}")).body.decode().splitlines()[:1]
        assert len(json.loads(await plane.hub.ask("default", "client-1", "config"))["resources"]) == 4


@contextlib.asynccontextmanager
async def _behind_tls(address: Address, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A TLS listener that passes on what comes in plain text; gives its port."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*address)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@on_uvloop
async def test_a_control_plane_behind_tls_is_known_by_its_name(tmp_path: Path) -> None:
    ca = make_ca()
    front = make_identity(tmp_path / "front", [], ca, dns=["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(front / "tls.crt", front / "tls.key")
    own = make_identity(tmp_path / "own", "spiffe://cluster.local/ns/default/sa/client", ca)
    async with (
        serving(answering(ok())) as origin,
        pushing(service("echo", [origin])) as plane,
        _behind_tls(plane.address, context) as port,
    ):
        async with following(f"wss://localhost:{port}", identity_dir=own) as app:
            assert (await _get(app)).status == 200
        async with following(f"wss://127.0.0.1:{port}", identity_dir=own) as app:
            await until(lambda: "127.0.0.1" in json.dumps(app.stream()["failure"]))
            assert "certificate" in app.stream()["failure"]
            assert app.unready()


@on_uvloop
async def test_services_with_traffic_are_told_to_discovery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "USED_S", 0.01)
    async with (
        serving(answering(ok())) as origin,
        pushing(service("echo", [origin])) as plane,
        following(plane.url) as app,
    ):
        told: set[str] = set()
        monkeypatch.setattr(app._source, "used", told.update)
        assert (await _get(app)).status == 200
        await until(lambda: told == {"default/echo"})


@on_uvloop
async def test_an_end_while_requests_are_parked_still_answers_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshproxy.proxy.drain.QUIET_S", 0.05)
    async with serving(answering(ok(b"late"))) as origin:
        async with pushing() as gone:
            port = gone.address[1]
        async with following(gone.url, drain_s=10.0) as app, connected(_outbound(app)) as client:
            await client.send(request())
            await until(lambda: len(app.worker.outbound.parking) == 1)
            app.drain()
            async with pushing(service("echo", [origin]), port):
                app._source.reload()
                assert (await client.response()).body == b"late"
