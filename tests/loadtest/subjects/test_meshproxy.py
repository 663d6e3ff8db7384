"""The real programs of the mesh before real instances of an origin that live in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import h11
import psutil
import pytest

from loadtest.block import APP_PORT, Block
from loadtest.scenario.model import Policy
from loadtest.subjects import choice
from loadtest.subjects.identity import Authority
from loadtest.subjects.subject import Address, Entry, Instance, Place, Subject, SubjectError

ALL = {b"1", b"2", b"3", b"4"}
POLICY = Policy.model_validate({"timeout": "5s", "retries": 2, "retry_codes": [503]})
WAIT_S = 20.0


class Origin:
    """Instances that answer with their number and the client certificate that they are told of; 503 by wish."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._servers: dict[int, asyncio.Server] = {}
        self._open: dict[int, list[asyncio.StreamWriter]] = {}
        self.instances: dict[int, Instance] = {}
        self.failing: set[int] = set()
        self.failed = 0

    async def add(self, number: int) -> Instance:
        host = self._block.address()
        self.instances[number] = Instance(number, (host, APP_PORT))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.setdefault(number, []).append(writer)
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    writer.write(self._answer(number, await reader.readuntil(b"\r\n\r\n")))
            writer.close()

        self._servers[number] = await asyncio.start_server(serve, host, APP_PORT)
        return self.instances[number]

    def _answer(self, number: int, head: bytes) -> bytes:
        if number in self.failing:
            self.failed += 1
            return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line)
        peer = fields.get(b"x-forwarded-client-cert", b"")
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d %b" % (2 + len(peer), number, peer)

    def remove(self, number: int) -> None:
        """Nothing listens there any more, as after a crash."""
        self._servers.pop(number).close()
        for writer in self._open.pop(number):
            writer.transport.abort()
        del self.instances[number]

    def close(self) -> None:
        for server in self._servers.values():
            server.close()


@contextlib.asynccontextmanager
async def running(
    name: str, folder: Path, cores: Sequence[int] = ()
) -> AsyncIterator[tuple[Subject, Origin, Callable[[], Awaitable[bytes]]]]:
    """The subject before four instances of `echo`, and what sends one request. Nothing of it is left afterwards."""
    block = Block()
    origin = Origin(block)
    for number in range(1, 5):
        await origin.add(number)
    subject = choice.make(name, Place(folder, block, cores))
    try:
        entries = await subject.start({"echo": list(origin.instances.values())}, POLICY)
        yield subject, origin, lambda: get(entries["echo"])
    finally:
        await subject.stop()
        origin.close()
        block.release()
    assert left(folder) == []


def left(folder: Path) -> list[psutil.Process]:
    """Processes of this one that live in the folder."""
    found = []
    for process in psutil.Process(os.getpid()).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()) == folder:
                found.append(process)
    return found


async def get(entry: Entry) -> bytes:
    """The body of the answer; anything but 200 fails the test."""
    (address,) = entry.addresses
    status, body = await send(address, entry.host)
    assert (status, entry.host) == (200, "echo.load"), body
    return body


async def send(address: Address, host: str, path: str = "/") -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(*address)
    client = h11.Connection(h11.CLIENT)
    writer.write(client.send(h11.Request(method="GET", target=path, headers=[("host", host), ("connection", "close")])))
    writer.write(client.send(h11.EndOfMessage()))
    status, body = 0, b""
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            client.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
    writer.close()
    await writer.wait_closed()
    return status, body


async def seen(request: Callable[[], Awaitable[bytes]], wanted: set[bytes], unwanted: set[bytes] = frozenset()) -> None:
    """Until all that are wanted were seen and of the last requests none went to the others. All succeed meanwhile."""
    met: set[bytes] = set()
    async with asyncio.timeout(WAIT_S):
        while True:
            # At once: the slowest of idle instances would hardly be chosen.
            last = {body[:1] for body in await asyncio.gather(*(request() for _ in range(16)))}
            met |= last
            if wanted <= met and not last & unwanted:
                return


async def has_repeated(subject: Subject, reason: str) -> bool:
    """Whether the caller's sidecar has repeated a request because of this, by its own metrics."""
    host = subject.configuration()["command"].partition("--admin ")[2].partition(":")[0]
    status, body = await send((host, 15000), f"{host}:15000", "/metrics")
    assert status == 200
    return bool(re.search(rf'^meshproxy_retries_total{{.*reason="{reason}".*}} [1-9]', body.decode(), re.MULTILINE))


async def replace_one(subject: Subject, origin: Origin) -> None:
    """Instance 1 makes room for 5 in an orderly way."""
    await origin.add(5)
    await subject.update({"echo": list(origin.instances.values())})
    await subject.update({"echo": [each for each in origin.instances.values() if each.number != 1]})


async def test_one_sidecar_with_a_control_plane_serves_retries_and_follows(tmp_path: Path) -> None:
    async with running("meshproxy", tmp_path) as (subject, origin, request):
        await seen(request, ALL)
        assert [child.name for child in subject.children()] == ["sidecar of caller", "meshcontrol"]
        assert {each.pid for each in left(tmp_path)} == {child.pid for child in subject.children()}
        shown = subject.configuration()
        assert shown["command"].startswith("meshcontrol run --data-dir ")
        assert "\nmeshproxy run --control ws://" in shown["command"]
        assert "kind: EndpointSlice" in shown["manifests/echo.yaml"]
        assert str(tmp_path) not in shown["command"]

        origin.failing.add(2)  # with 503
        async with asyncio.timeout(WAIT_S):
            while not (origin.failed and await has_repeated(subject, "status")):
                await seen(request, {b"1"})
        origin.failing.clear()

        await replace_one(subject, origin)
        await seen(request, {b"5"}, {b"1"})

        origin.remove(3)
        async with asyncio.timeout(WAIT_S):
            while not await has_repeated(subject, "connect"):
                await seen(request, {b"5"})


async def test_an_update_that_the_control_plane_did_not_live_to_hear_arrives_when_it_is_back(tmp_path: Path) -> None:
    async with running("meshproxy", tmp_path) as (subject, origin, request):
        await origin.add(5)
        update = subject.update({"echo": [origin.instances[5]]})
        await asyncio.gather(update, subject.lose_control_plane())
        await request()
        await subject.regain_control_plane()
        await seen(request, {b"5"}, ALL)


async def test_from_a_snapshot_one_sidecar_serves_and_follows(tmp_path: Path) -> None:
    async with running("meshproxy-snapshot", tmp_path) as (subject, origin, request):
        await seen(request, ALL)
        assert [child.name for child in subject.children()] == ["sidecar of caller"]
        assert subject.configuration()["command"].startswith("meshctl compile -f manifests -o snapshot.json\n")
        await subject.lose_control_plane()
        await replace_one(subject, origin)
        await subject.regain_control_plane()
        await seen(request, {b"5"}, {b"1"})


async def test_without_its_control_plane_the_mesh_serves_on_and_hears_of_updates_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with running("meshproxy-pair", tmp_path) as (subject, origin, request):
        await seen(request, ALL)
        plane = next(child for child in subject.children() if child.name == "meshcontrol")
        await subject.lose_control_plane()
        assert plane.returncode == -9
        assert plane not in subject.children()
        await seen(request, ALL)

        await replace_one(subject, origin)
        assert "sidecar of echo-5" in [child.name for child in subject.children()]
        await seen(request, ALL)

        await subject.regain_control_plane()
        await seen(request, {b"5"}, {b"1"})
        assert "meshcontrol" in [child.name for child in subject.children()]
        await subject.regain_control_plane()  # changes nothing


@pytest.mark.parametrize("name", ["meshproxy-mtls", "meshproxy-mtls-snapshot"])
async def test_with_mtls_instances_are_told_who_calls_and_strangers_are_not_let_in(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as (subject, origin, request):
        await seen(request, ALL)
        # The inbound side writes this from the certificate of the connection, and nothing else.
        body = await request()
        assert b"by=spiffe://cluster.local/ns/load/sa/echo;" in body
        assert body.endswith(b";uri=spiffe://cluster.local/ns/load/sa/caller")
        assert not [text for text in subject.configuration().values() if "PRIVATE KEY" in text]

        await replace_one(subject, origin)
        await seen(request, {b"5"}, {b"1"})
        assert "sidecar of echo-5" in [child.name for child in subject.children()]

        command = next(line for line in subject.configuration()["command"].splitlines() if "echo-2" in line)
        host = command.partition("--inbound ")[2].partition(":")[0]
        caller, stranger = tmp_path / "identities" / "caller", tmp_path / "stranger"
        Authority().issue(stranger, "caller")
        assert await is_admitted((host, 15006), caller, caller / "ca.crt")
        assert not await is_admitted((host, 15006), stranger, caller / "ca.crt")


async def is_admitted(address: Address, identity: Path, roots: Path) -> bool:
    """Whether a request over TLS with this identity is answered; the server has to be the origin."""
    context = ssl.create_default_context(cafile=roots)
    context.check_hostname = False
    context.load_cert_chain(identity / "tls.crt", identity / "tls.key")
    reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="echo.load.sa.cluster.local")
    try:
        ((_, name),) = writer.get_extra_info("peercert")["subjectAltName"]
        assert name == "spiffe://cluster.local/ns/load/sa/echo"
        writer.write(b"GET / HTTP/1.1\r\nHost: echo.load\r\nConnection: close\r\n\r\n")
        return (await reader.read()).startswith(b"HTTP/1.1 200 ")
    except (OSError, ssl.SSLError):  # with TLS 1.3 a refusal comes after the handshake
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


class Taken(Block):
    """A block in which a port of every address that is given out is taken already."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._sockets: list[socket.socket] = []

    def address(self) -> str:
        host = super().address()
        self._sockets.append(socket.create_server((host, self._port)))
        return host

    def release(self) -> None:
        for each in self._sockets:
            each.close()
        super().release()


@pytest.mark.parametrize(
    ("name", "port", "who"),
    [
        ("meshproxy", 15012, "meshcontrol"),
        ("meshproxy", 15001, "sidecar of caller"),
    ],
)
async def test_a_start_that_fails_says_what_the_program_said_last_and_leaves_nothing(
    name: str, port: int, who: str, tmp_path: Path
) -> None:
    block = Taken(port)
    subject = choice.make(name, Place(tmp_path, block))
    try:
        with pytest.raises(SubjectError) as caught:
            await subject.start({"echo": [Instance(1, ("127.0.0.1", APP_PORT))]}, POLICY)
    finally:
        await subject.stop()
        block.release()
    assert str(caught.value).startswith(f"{who} ended with status 1; its last words:\n")
    assert f":{port}" in str(caught.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", ["meshproxy", "meshproxy-snapshot"])
async def test_a_policy_that_the_mesh_refuses_is_told_in_its_words(name: str, tmp_path: Path) -> None:
    block = Block()
    subject = choice.make(name, Place(tmp_path, block))
    wrong = Policy.model_validate({"timeout": "1s", "attempt_timeout": "2s"})
    try:
        with pytest.raises(SubjectError, match="backendRequest: must not be longer than request"):
            await subject.start({"echo": []}, wrong)
    finally:
        await subject.stop()
        block.release()


async def test_a_start_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    block = Block()
    subject = choice.make("meshproxy-pair", Place(tmp_path, block))
    starting = asyncio.create_task(subject.start({"echo": [Instance(1, ("127.0.0.1", APP_PORT))]}, POLICY))
    async with asyncio.timeout(WAIT_S):
        while len(subject.children()) < 2:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    await subject.stop()
    block.release()
    assert starting.cancelled()
    assert left(tmp_path) == []


async def test_a_sidecar_stays_on_its_cores_and_is_seen_to_end_by_itself(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    async with running("meshproxy-snapshot", tmp_path, [core]) as (subject, _, _):
        (child,) = subject.children()
        assert os.sched_getaffinity(child.pid) == {core}
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()
        assert [each.is_running for each in subject.children()] == [False]
