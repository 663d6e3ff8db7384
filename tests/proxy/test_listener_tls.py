from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from pathlib import Path

import pytest

from meshproxy.tls import spiffe
from meshproxy.tls.reload import IdentityStore, Reload
from tests.fakes.echo import Stack, on_uvloop, serving, talk, until
from tests.fakes.pki import Authority, client_context, make_ca, make_identity

SERVER = "spiffe://cluster.local/ns/shop/sa/web"
CLIENT = "spiffe://cluster.local/ns/shop/sa/front"


@pytest.fixture(scope="module")
def ca() -> Authority:
    return make_ca()


@pytest.fixture
def store(tmp_path: Path, ca: Authority) -> IdentityStore:
    return IdentityStore(make_identity(tmp_path / "server", SERVER, ca), "shop", "web", time.time())


async def refused_for(stack: Stack, reason: str, context: ssl.SSLContext) -> None:
    assert await talk(stack, context) == b""
    await until(lambda: sum(stack.listener.tls_failed.values()) == 1)
    assert stack.listener.tls_failed[reason] == 1, stack.listener.tls_failed
    assert stack.seen == []
    assert stack.events == ["tls_failed"]


@on_uvloop
async def test_plain_is_served_beside_tls(store: IdentityStore) -> None:
    async with serving(store) as stack:
        assert await talk(stack) == b">hello"
        assert stack.nodelay == [1]


@on_uvloop
async def test_a_peer_of_our_trust_domain_reaches_the_protocol_with_its_identity(
    tmp_path: Path, ca: Authority, store: IdentityStore
) -> None:
    peer = client_context(make_identity(tmp_path / "client", CLIENT, ca))
    async with serving(store) as stack:
        for name in ("web.shop.sa.cluster.local", "anything.example", None):
            assert await talk(stack, peer, name) == CLIENT.encode() + b">hello"
        assert stack.listener.tls_accepted == 3
        assert stack.nodelay == [1] * 3


@on_uvloop
async def test_two_sidecars_know_each_other(tmp_path: Path, ca: Authority, store: IdentityStore) -> None:
    own = IdentityStore(make_identity(tmp_path / "client", CLIENT, ca), "shop", "front", time.time()).current
    async with serving(store) as stack:
        reader, writer = await asyncio.open_connection(
            *stack.address, ssl=own.client, server_hostname=spiffe.server_name(store.current.id)
        )
        spiffe.admit_server(writer.get_extra_info("peercert"), SERVER)
        tunnel = writer.get_extra_info("ssl_object")
        assert tunnel.version() == "TLSv1.3"
        assert tunnel.selected_alpn_protocol() == "http/1.1"
        writer.write(b"hello")
        assert await reader.read(1000) == CLIENT.encode() + b">hello"
        writer.close()
        await writer.wait_closed()


@on_uvloop
async def test_a_server_under_another_authority_is_not_believed(tmp_path: Path, store: IdentityStore) -> None:
    directory = make_identity(tmp_path / "client", CLIENT, make_ca("foreign"))
    own = IdentityStore(directory, "shop", "front", time.time()).current
    async with serving(store) as stack:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(*stack.address, ssl=own.client, server_hostname="x")
        await until(lambda: stack.listener.tls_failed["closed"] + stack.listener.tls_failed["protocol"] == 1)


@on_uvloop
async def test_another_trust_domain_is_refused(tmp_path: Path, ca: Authority, store: IdentityStore) -> None:
    peer = client_context(make_identity(tmp_path / "client", "spiffe://elsewhere/ns/shop/sa/front", ca))
    async with serving(store) as stack:
        await refused_for(stack, "identity", peer)


@on_uvloop
async def test_a_certificate_with_two_ids_is_refused(tmp_path: Path, ca: Authority, store: IdentityStore) -> None:
    peer = client_context(make_identity(tmp_path / "client", [CLIENT, SERVER], ca))
    async with serving(store) as stack:
        await refused_for(stack, "identity", peer)


@on_uvloop
async def test_an_expired_certificate_is_refused(tmp_path: Path, ca: Authority, store: IdentityStore) -> None:
    peer = client_context(make_identity(tmp_path / "client", CLIENT, ca, before_s=-7200, after_s=-60))
    async with serving(store) as stack:
        await refused_for(stack, "expired", peer)


@on_uvloop
async def test_a_certificate_of_a_foreign_authority_is_refused(tmp_path: Path, store: IdentityStore) -> None:
    peer = client_context(make_identity(tmp_path / "client", CLIENT, make_ca("foreign")))
    async with serving(store) as stack:
        await refused_for(stack, "untrusted", peer)


@on_uvloop
async def test_a_client_without_a_certificate_is_refused(store: IdentityStore) -> None:
    async with serving(store) as stack:
        await refused_for(stack, "certificate_missing", client_context())


@on_uvloop
async def test_an_older_tls_is_refused(tmp_path: Path, ca: Authority, store: IdentityStore) -> None:
    directory = make_identity(tmp_path / "client", CLIENT, ca)
    async with serving(store) as stack:
        await refused_for(stack, "protocol", client_context(directory, version=ssl.TLSVersion.TLSv1_2))


@on_uvloop
async def test_a_refused_client_can_not_get_a_byte_to_a_protocol(
    tmp_path: Path, ca: Authority, store: IdentityStore
) -> None:
    peer = client_context(make_identity(tmp_path / "client", "spiffe://elsewhere/ns/shop/sa/front", ca))
    async with serving(store) as stack:
        loop = asyncio.get_running_loop()
        ours = await loop.run_in_executor(None, shake_and_send, stack.address, peer)
        assert ours == b""
        await until(lambda: stack.listener.tls_failed["identity"] == 1)
        assert stack.seen == []


def shake_and_send(address: tuple[str, int], context: ssl.SSLContext) -> bytes:
    """A blocking client that sends its Finished and a request in one piece."""
    to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = context.wrap_bio(to_us, to_them)
    with socket.create_connection(address, timeout=5) as sock:
        while True:
            try:
                end.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(to_them.read())
                to_us.write(sock.recv(65_536))
        end.write(b"hello")
        sock.sendall(to_them.read())
        try:
            return sock.recv(1000)
        except ConnectionError:
            return b""


@on_uvloop
async def test_tls_to_a_sidecar_without_identity_is_closed_and_told() -> None:
    async with serving(None) as stack:
        assert await talk(stack, client_context()) == b""
        assert stack.listener.tls_without_identity == 1
        assert stack.events == ["tls_without_identity"]
        assert await talk(stack) == b">hello"


@on_uvloop
@pytest.mark.parametrize("is_tls", [False, True])
async def test_bytes_that_come_one_by_one_are_all_delivered(
    tmp_path: Path, ca: Authority, store: IdentityStore, is_tls: bool
) -> None:
    loop = asyncio.get_running_loop()
    async with serving(store) as stack:
        sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, stack.address)
        if not is_tls:
            for octet in b"GET /":
                await loop.sock_sendall(sock, bytes([octet]))
                await until(lambda: len(stack.seen) == 1)
            received = b""
            while received.count(b">") == 0 or len(received.replace(b">", b"")) < 5:
                received += await loop.sock_recv(sock, 100)
            assert received.replace(b">", b"") == b"GET /"
        else:
            to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
            end = client_context(make_identity(tmp_path / "client", CLIENT, ca)).wrap_bio(to_us, to_them)
            while True:
                try:
                    end.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    for octet in to_them.read():
                        await loop.sock_sendall(sock, bytes([octet]))
                        await asyncio.sleep(0)
                    to_us.write(await loop.sock_recv(sock, 65_536))
            end.write(b"hello")
            await loop.sock_sendall(sock, to_them.read())
            to_us.write(await loop.sock_recv(sock, 65_536))
            assert end.read(100) == CLIENT.encode() + b">hello"
        sock.close()


@on_uvloop
async def test_a_handshake_that_stalls_is_ended(store: IdentityStore) -> None:
    async with serving(store, handshake_timeout_s=0.05) as stack:
        reader, writer = await asyncio.open_connection(*stack.address)
        writer.write(b"\x16\x03\x01")
        assert await asyncio.wait_for(reader.read(10), 5) == b""
        await until(lambda: sum(stack.listener.tls_failed.values()) == 1)
        assert stack.listener.tls_failed["timeout"] == 1, stack.listener.tls_failed
        writer.close()
        await writer.wait_closed()


@on_uvloop
async def test_a_reset_or_an_end_within_the_handshake_is_counted_once(store: IdentityStore) -> None:
    async with serving(store) as stack:
        for count, is_reset in enumerate((False, True), 1):
            sock = socket.create_connection(stack.address)
            sock.sendall(b"\x16\x03\x01")
            await until(lambda: stack.listener.halfway == 1)
            if is_reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            sock.close()
            await until(lambda: stack.listener.halfway == 0)
            assert sum(stack.listener.tls_failed.values()) == count
        assert stack.listener.tls_failed["closed"] == 2


@on_uvloop
async def test_garbage_that_begins_like_tls_is_refused(store: IdentityStore) -> None:
    async with serving(store) as stack:
        reader, writer = await asyncio.open_connection(*stack.address)
        writer.write(b"\x16\x03\x01\x00\x05hello" * 20)
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        await until(lambda: sum(stack.listener.tls_failed.values()) == 1)
        assert stack.listener.tls_failed["protocol"] == 1, stack.listener.tls_failed
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@on_uvloop
async def test_new_connections_use_a_reloaded_identity_and_old_ones_go_on(
    tmp_path: Path, ca: Authority, store: IdentityStore
) -> None:
    peer = client_context(make_identity(tmp_path / "client", CLIENT, ca))
    other = make_ca("next root")
    async with serving(store) as stack:
        reader, writer = await asyncio.open_connection(*stack.address, ssl=peer, server_hostname="x")
        make_identity(tmp_path / "server", SERVER, other, bundle=other.pem)
        assert store.poll(time.time()) is Reload.CHANGED
        writer.write(b"still")
        assert await reader.read(1000) == CLIENT.encode() + b">still"
        assert await talk(stack, peer) == b""
        assert stack.listener.tls_failed["untrusted"] == 1
        renewed = client_context(make_identity(tmp_path / "client", CLIENT, other))
        assert await talk(stack, renewed) == CLIENT.encode() + b">hello"
        writer.close()
        await writer.wait_closed()
