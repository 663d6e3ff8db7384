"""A client's sidecar and a server's, in mTLS; and every way in which they may not trust each other."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshproxy.tls.reload import IdentityStore, Reload
from meshproxy.wire import resources as wire
from tests.fakes.client import call, connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, Origin, answering, ok, serving
from tests.fakes.pki import Authority, client_context, make_ca, make_identity
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service

CLIENT = "spiffe://cluster.local/ns/default/sa/client"
SERVER = "spiffe://cluster.local/ns/default/sa/server"
GET = request()
POST = request("POST", "/", "echo", "content-length: 4") + b"body"


@pytest.fixture(scope="module")
def ca() -> Authority:
    return make_ca()


@dataclass
class Pair:
    client: Sidecar
    server: Sidecar
    app: Origin


def store(directory: Path, spiffe_id: str, ca: Authority, **flaw) -> IdentityStore:
    account = spiffe_id.rpartition("/")[2]
    return IdentityStore(make_identity(directory, spiffe_id, ca, **flaw), "default", account, time.time())


@contextlib.asynccontextmanager
async def pair(
    client: IdentityStore | None, server: IdentityStore | None, expected: str = SERVER, app: Origin | None = None
) -> AsyncIterator[Pair]:
    async with contextlib.AsyncExitStack() as stack:
        app = app or await stack.enter_async_context(serving(answering(ok(b"from the app"))))
        behind = await stack.enter_async_context(running(app=(app.host, app.port), identities=server))
        host, port = behind.address
        spec = wire.Endpoint(address=host, port=port, meshed=True, identity=expected)
        entries = service("echo", [spec])
        yield Pair(await stack.enter_async_context(running(entries, identities=client)), behind, app)


@on_uvloop
async def test_a_meshed_call_is_encrypted_and_the_app_is_told_who_calls(tmp_path: Path, ca: Authority) -> None:
    async with pair(store(tmp_path / "c", CLIENT, ca), store(tmp_path / "s", SERVER, ca)) as mesh:
        async with connected(mesh.client.address) as client:
            for _ in range(3):
                reply = await client.get("echo", "/", "x-forwarded-client-cert: URI=spiffe://forged")
                assert (reply.status, reply.body) == (200, b"from the app")
        (xfcc,) = {one["x-forwarded-client-cert"] for one in mesh.app.requests}
        parts = dict(part.split("=", 1) for part in xfcc.split(";"))
        assert (parts["By"], parts["URI"], len(parts["Hash"])) == (SERVER, CLIENT, 64)
        assert [slot.opened for slot in mesh.server.stack.downstream_slots] == [0, 1]
        assert [slot.opened for slot in mesh.client.stack.upstream_slots] == [0, 1]
        assert mesh.server.finished[0].port.peer == CLIENT
        assert mesh.server.slot.outcomes == {(200, "", CLIENT): 3}


@on_uvloop
async def test_bodies_pass_both_ways_in_tls(tmp_path: Path, ca: Authority) -> None:
    body = bytes(range(256)) * 8192  # 2 MiB

    async def mirror(connection: Connection) -> None:
        while one := await connection.request():
            await connection.send(ok(one.body))

    async with (
        serving(mirror) as app,
        pair(store(tmp_path / "c", CLIENT, ca), store(tmp_path / "s", SERVER, ca), app=app) as mesh,
        connected(mesh.client.address) as client,
    ):
        for _ in range(2):
            sending = asyncio.create_task(
                client.send(request("POST", "/", "echo", f"content-length: {len(body)}") + body)
            )
            assert (await client.response()).body == body
            await sending


@on_uvloop
async def test_a_websocket_passes_in_tls(tmp_path: Path, ca: Authority) -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        await connection.send(b"back " + await connection.read())

    async with (
        serving(script) as app,
        pair(store(tmp_path / "c", CLIENT, ca), store(tmp_path / "s", SERVER, ca), app=app) as mesh,
        connected(mesh.client.address) as client,
    ):
        await client.send(request("GET", "/", "echo", "Connection: Upgrade", "Upgrade: websocket"))
        head = await client.exactly(len(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"))
        assert head.startswith(b"HTTP/1.1 101")
        await client.send(b"forth")
        assert await client.rest() == b"back forth"


@on_uvloop
async def test_a_server_with_another_identity_than_expected_is_not_spoken_to(tmp_path: Path, ca: Authority) -> None:
    other = "spiffe://cluster.local/ns/default/sa/other"
    async with pair(store(tmp_path / "c", CLIENT, ca), store(tmp_path / "s", SERVER, ca), expected=other) as mesh:
        for ask in (GET, POST):
            reply = await call(mesh.client.address, ask)
            assert (reply.status, reply.fault) == (502, "identity_mismatch")
        assert mesh.app.requests == []
        await until(lambda: mesh.client.upstreams_open == 0)


@on_uvloop
async def test_a_server_under_another_root_is_not_spoken_to(tmp_path: Path, ca: Authority) -> None:
    async with pair(store(tmp_path / "c", CLIENT, ca), store(tmp_path / "s", SERVER, make_ca())) as mesh:
        reply = await call(mesh.client.address, POST)
        assert (reply.status, reply.fault) == (502, "identity_mismatch")
        assert mesh.app.requests == []


@on_uvloop
async def test_a_client_of_another_trust_domain_is_refused_by_the_server(tmp_path: Path, ca: Authority) -> None:
    foreign = "spiffe://elsewhere.example/ns/default/sa/client"
    async with pair(store(tmp_path / "c", foreign, ca), store(tmp_path / "s", SERVER, ca)) as mesh:
        for ask in (GET, POST):
            reply = await call(mesh.client.address, ask)
            assert (reply.status, reply.fault) == (502, "upstream_reset")
        assert mesh.app.requests == []
        assert mesh.server.listener.tls_failed["identity"] >= 2
        assert mesh.server.finished == []


@on_uvloop
async def test_a_client_under_another_root_is_refused_by_the_server(tmp_path: Path, ca: Authority) -> None:
    """It trusts the server's root, and shows a certificate of its own."""
    mixed = make_ca("another root")
    client = store(tmp_path / "c", CLIENT, mixed)
    client.current.client.load_verify_locations(cadata=ca.pem.decode())
    async with pair(client, store(tmp_path / "s", SERVER, ca)) as mesh:
        reply = await call(mesh.client.address, POST)
        assert reply.status == 502
        assert reply.fault in ("tls_failure", "upstream_reset")
        assert mesh.app.requests == []
        await until(lambda: mesh.server.listener.tls_failed["untrusted"] == 1)


@on_uvloop
async def test_a_server_whose_certificate_has_expired_is_not_spoken_to(tmp_path: Path, ca: Authority) -> None:
    server = store(tmp_path / "s", SERVER, ca)
    stale = make_identity(tmp_path / "stale", SERVER, ca, before_s=-7200, after_s=-3600)
    server.current.server.load_cert_chain(stale / "tls.crt", stale / "tls.key")
    async with pair(store(tmp_path / "c", CLIENT, ca), server) as mesh:
        reply = await call(mesh.client.address, GET)
        assert (reply.status, reply.fault) == (502, "tls_failure")
        assert "expired" in mesh.client.finished[0].detail
        assert mesh.app.requests == []


@on_uvloop
async def test_tls_to_a_server_without_identity_fails_as_tls(tmp_path: Path, ca: Authority) -> None:
    async with pair(store(tmp_path / "c", CLIENT, ca), None) as mesh:
        reply = await call(mesh.client.address, POST)
        assert (reply.status, reply.fault) == (502, "tls_failure")
        assert mesh.server.listener.tls_without_identity >= 1
        assert mesh.app.requests == []


@on_uvloop
async def test_a_client_without_identity_speaks_plain_and_that_is_counted(tmp_path: Path, ca: Authority) -> None:
    async with pair(None, store(tmp_path / "s", SERVER, ca)) as mesh:
        assert (await call(mesh.client.address, GET)).status == 200
        assert mesh.client.events.plain_to_meshed.get("default/echo:80") == 1
        assert mesh.app.requests[0].all("x-forwarded-client-cert") == []
        assert mesh.server.slot.codes == {200: 1}


@on_uvloop
async def test_plain_to_an_unmeshed_endpoint_that_speaks_tls_fails(tmp_path: Path, ca: Authority) -> None:
    directory = make_identity(tmp_path / "tls", SERVER, ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")

    async def script(connection: Connection) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(await connection.read())
        with contextlib.suppress(ssl.SSLError):
            context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
        await connection.send(outgoing.read())

    async with serving(script) as origin, running(service("echo", [origin])) as sidecar:
        reply = await call(sidecar.address, GET)
        # Some versions of OpenSSL send an alert to who speaks plain, others only close.
        assert (reply.status, reply.fault) in ((502, "bad_response"), (502, "upstream_reset"))


@on_uvloop
async def test_an_identity_is_rotated_under_load_without_a_failed_request(tmp_path: Path, ca: Authority) -> None:
    client, server = store(tmp_path / "c", CLIENT, ca), store(tmp_path / "s", SERVER, ca)
    async with pair(client, server) as mesh:
        statuses: list[int] = []
        is_over = False

        async def caller() -> None:
            while not is_over:
                async with connected(mesh.client.address) as one:
                    statuses.extend([(await one.post(b"x")).status for _ in range(10)])

        callers = [asyncio.create_task(caller()) for _ in range(4)]
        for _ in range(3):
            seen = len(statuses)
            await until(lambda seen=seen: len(statuses) > seen + 100)
            make_identity(tmp_path / "c", CLIENT, ca)
            make_identity(tmp_path / "s", SERVER, ca)
            assert client.poll(time.time()) is Reload.CHANGED
            assert server.poll(time.time()) is Reload.CHANGED
            # What was connected goes on; what connects from here on shows the new certificate.
            for pool in mesh.client.backend().pools:
                while pool.close_one_idle():
                    pass
        await until(lambda: len(mesh.client.finished) > 400)
        is_over = True
        await asyncio.gather(*callers)
        assert set(statuses) == {200}
        assert mesh.server.stack.downstream_slots[True].opened >= 4


@on_uvloop
async def test_the_inbound_side_serves_plain_and_tls_on_one_port(tmp_path: Path, ca: Authority) -> None:
    server = store(tmp_path / "s", SERVER, ca)
    directory = make_identity(tmp_path / "c", CLIENT, ca)
    async with serving(answering(ok())) as app, running(app=(app.host, app.port), identities=server) as sidecar:
        assert (await call(sidecar.address, GET)).status == 200
        reader, writer = await asyncio.open_connection(
            *sidecar.address, ssl=client_context(directory), server_hostname="client.default.sa.cluster.local"
        )
        writer.write(GET)
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        writer.close()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()
        assert [slot.opened for slot in sidecar.stack.downstream_slots] == [1, 1]
