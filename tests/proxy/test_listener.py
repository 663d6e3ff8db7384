from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import uvloop

from meshproxy.proxy.listener import Listener
from meshproxy.tls.reload import IdentityStore
from tests.fakes.echo import on_uvloop, serving, talk, until
from tests.fakes.pki import Authority, make_ca, make_identity

SERVER = "spiffe://cluster.local/ns/shop/sa/web"


@pytest.fixture(scope="module")
def ca() -> Authority:
    return make_ca()


@pytest.fixture
def store(tmp_path: Path, ca: Authority) -> IdentityStore:
    return IdentityStore(make_identity(tmp_path / "server", SERVER, ca), "shop", "web", time.time())


@on_uvloop
async def test_plain_is_served_where_everything_is_plain() -> None:
    async with serving(detects=False) as stack:
        assert await talk(stack) == b">hello"
        assert stack.nodelay == [1]
        assert stack.listener.accepted == 1
        assert time.monotonic() - stack.listener.last_accept_at < 5


@on_uvloop
async def test_a_silent_client_is_taken_for_plain_after_the_timeout(store: IdentityStore) -> None:
    async with serving(store, detect_timeout_s=0.02) as stack:
        reader, writer = await asyncio.open_connection(*stack.address)
        await until(lambda: stack.seen == [""])
        assert stack.listener.detect_timeouts == 1
        assert stack.events == ["detect_timeout"]
        writer.write(b"late")
        assert await reader.read(100) == b">late"
        writer.close()
        await writer.wait_closed()


@on_uvloop
async def test_a_client_that_only_connects_is_closed_in_silence(store: IdentityStore) -> None:
    async with serving(store) as stack:
        _reader, writer = await asyncio.open_connection(*stack.address)
        writer.close()
        await writer.wait_closed()
        await until(lambda: stack.listener.detect_closed == 1)
        assert stack.events == []


@on_uvloop
async def test_close_ends_what_is_half_way_and_leaves_what_is_open(store: IdentityStore) -> None:
    async with serving(store) as stack:
        reader, writer = await asyncio.open_connection(*stack.address)
        writer.write(b"one")
        assert await reader.read(100) == b">one"
        silent = socket.create_connection(stack.address)
        shaking = socket.create_connection(stack.address)
        shaking.sendall(b"\x16\x03\x01")
        await until(lambda: stack.listener.halfway == 2)
        stack.listener.close()
        stack.listener.close()
        await until(lambda: stack.listener.halfway == 0)
        for sock in (silent, shaking):
            sock.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
            sock.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(stack.address)
        writer.write(b"two")
        assert await reader.read(100) == b">two"
        writer.close()
        await writer.wait_closed()
        assert sum(stack.listener.tls_failed.values()) == 0


@on_uvloop
async def test_stopping_serves_whom_the_kernel_has_already_accepted() -> None:
    async with serving(detects=False) as stack:
        waiting = [socket.create_connection(stack.address) for _ in range(100)]
        stack.listener.stop_accepting()
        await until(lambda: len(stack.connections) == 100)
        for sock in waiting:
            sock.close()


@on_uvloop
async def test_a_plain_connection_handed_over_as_the_listener_closes_is_aborted() -> None:
    async with serving(detects=False) as stack:
        sock = socket.create_connection(stack.address)
        stack.listener.close()
        await until(lambda: stack.listener.halfway == 0 and not stack.connections)
        sock.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        sock.close()


@on_uvloop
@pytest.mark.parametrize("detects", [False, True])
async def test_over_the_limit_of_connections_a_client_is_answered_503(store: IdentityStore, detects: bool) -> None:
    async with serving(store if detects else None, detects=detects, max_connections=2) as stack:
        kept = []
        for count in (1, 2):
            kept.append(await asyncio.open_connection(*stack.address))
            await until(lambda wanted=count: stack.listener.accepted == wanted)
            if not detects:  # one that was just handed over counts twice for a moment
                await until(lambda: stack.listener.halfway == 0)
        answer = await talk(stack)
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b'proxy-status: meshproxy; error=proxy_internal_error; details="out_of_descriptors"\r\n' in answer
        assert stack.listener.shed == 1
        assert stack.events == ["shed"]
        kept[0][1].close()
        await kept[0][1].wait_closed()
        await until(lambda: len(stack.connections) + stack.listener.halfway == 1)
        assert await talk(stack) == b">hello"
        kept[1][1].close()
        await kept[1][1].wait_closed()


@on_uvloop
async def test_a_tls_client_that_is_shed_is_not_answered_in_plain_text(store: IdentityStore) -> None:
    async with serving(store, max_connections=0) as stack:
        sock = socket.create_connection(stack.address)
        sock.sendall(b"\x16\x03\x01")
        await until(lambda: stack.listener.shed == 1)
        sock.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1000) == b""
        sock.close()


@on_uvloop
async def test_silent_clients_can_not_keep_others_out(store: IdentityStore) -> None:
    async with serving(store, max_halfway=3) as stack:
        silent = [socket.create_connection(stack.address) for _ in range(6)]
        await until(lambda: stack.listener.accepted == 6)
        assert stack.listener.detect_timeouts == 3
        assert await talk(stack) == b">hello"
        assert stack.listener.shed == 0
        for sock in silent:
            sock.close()


@on_uvloop
async def test_handshakes_beyond_the_bound_are_shed(store: IdentityStore) -> None:
    async with serving(store, max_halfway=2) as stack:
        shaking = []
        for count in (1, 2):
            shaking.append(socket.create_connection(stack.address))
            shaking[-1].sendall(b"\x16\x03\x01")
            await until(lambda wanted=count: stack.listener.halfway == wanted)
        assert (await talk(stack)).startswith(b"HTTP/1.1 503")
        for sock in shaking:
            sock.close()


@on_uvloop
async def test_a_factory_that_fails_leaves_no_socket_and_is_told_to_the_loop() -> None:
    loop = asyncio.get_running_loop()
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)

    def fail() -> asyncio.Protocol:
        raise RuntimeError("defect")

    listener = Listener(loop, sock, (), fail, lambda _word, _detail: None)
    listener.start()
    with socket.create_connection(sock.getsockname()) as client:
        client.settimeout(5)
        await until(lambda: len(problems) == 1)
        assert client.recv(1) == b""
    assert listener.halfway == 0
    listener.close()


def test_out_of_descriptors_it_sheds_at_once_and_recovers() -> None:
    """In a process of its own, whose limit can be lowered."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.proxy.test_listener"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


async def starve() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(detects=False) as stack:
        assert await talk(stack) == b">hello"  # what the loop opens at first use is open now
        await until(lambda: not stack.connections)
        clients = [socket.socket() for _ in range(40)]
        for sock in clients:
            sock.settimeout(5)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(sock.fileno() for sock in clients) + 11, hard))
        for sock in clients:
            sock.connect(stack.address)
        await until(lambda: stack.listener.accepted + stack.listener.shed == 41)
        served = stack.listener.accepted - 1
        assert 0 < served < 40
        assert stack.listener.pauses >= 1
        assert "starved" in stack.events
        answers = [await exchange(sock) for sock in clients]
        assert sum(answer.startswith(b"HTTP/1.1 503") for answer in answers) == stack.listener.shed
        assert answers.count(b">hello") == served
        for sock in clients[:-1]:
            sock.close()
        await until(lambda: len(stack.connections) < 2)
        assert await talk(stack) == b">hello"  # the limit is as low as before
        clients[-1].close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def exchange(sock: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await loop.sock_sendall(sock, b"hello")
    return await asyncio.wait_for(loop.sock_recv(sock, 1000), 5)


if __name__ == "__main__":
    uvloop.run(starve())
