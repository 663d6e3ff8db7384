"""Real workers in processes of their own."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from typing import Any

import h11
import pytest

from meshproxy.crew import parent
from meshproxy.crew.member import Member
from meshproxy.proxy.place import listen, reserve
from meshproxy.wire import resources as wire
from meshproxy.wire.change import Change, Outlook
from tests.fakes.client import Client, Reply, connect
from tests.fakes.crew import Team, crew
from tests.fakes.load import Server, server
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import ok
from tests.fakes.snapshots import service


@pytest.fixture
def origin():
    with server(ok(b"one")) as one:
        yield one


@pytest.fixture
def other():
    with server(ok(b"two")) as two:
        yield two


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(client: Client) -> bool:
    """Whether the other side has ended the connection; asked with a request."""
    try:
        return (await client.get()).status != 200
    except (OSError, h11.ProtocolError):
        return True


def close(clients: list[Client]) -> None:
    for client in clients:
        client.close()


@on_uvloop
async def test_workers_share_the_connections_of_one_port(origin: Server):
    async with crew(service("echo", [origin])) as team:
        clients = await team.connect_to_all(64)
        for client in clients:
            assert (await client.get()).status == 200
        await until(lambda: team.counted() == 64)
        shares = team.ended()
        assert shares[1] > 0
        assert shares[2] > 0
        assert shares[1] + shares[2] == 64
        close(clients)


@on_uvloop
async def test_metrics_add_up_exactly_also_after_a_worker_was_killed(origin: Server):
    async with crew(service("echo", [origin])) as team:
        clients = await team.connect_to_all(32)
        for client in clients * 10:
            assert (await client.get()).status == 200
        await until(lambda: team.counted() == 320)
        team.signal(1, signal.SIGKILL)
        await until(lambda: not team.members.get(1) or not team.members[1].is_open)
        await team.until_open()
        assert team.counted() == 320
        assert team.ended()[0] > 0  # what the killed one had counted
        close(clients)
        fresh = await team.connect_to_all(32)
        for client in fresh * 5:
            assert (await client.get()).status == 200
        await until(lambda: team.counted() >= 480)
        assert team.counted() == 480
        assert team.crew._restarts.get() == 1
        close(fresh)


@on_uvloop
async def test_the_end_of_one_worker_is_no_failure_of_another_and_no_new_connection_fails(origin: Server):
    async with crew(service("echo", [origin])) as team:
        clients = await team.connect_to_all(32)
        spared = team.connections(2)
        pid = team.signal(1, signal.SIGKILL)
        await until(lambda: not is_alive(pid))
        lost = [client for client in clients if await gone(client)]
        assert len(clients) - len(lost) == spared
        for _ in range(50):  # while the other one is started anew
            client = await connect(team.address)
            assert (await client.get()).status == 200
            client.close()
        await team.until_open()
        close(clients)


@on_uvloop
async def test_a_change_that_was_applied_is_in_effect_in_every_worker(origin: Server, other: Server):
    async with crew(service("echo", [origin])) as team:
        clients = await team.connect_to_all(32)
        for server_, body in ((other, b"two"), (origin, b"one"), (other, b"two")):
            await team.crew.apply(Change(service("echo", [server_]), [], []))
            assert [(await client.get()).body for client in clients] == [body] * 32
        await team.crew.apply(Change([], [entry.name for entry in service("echo", [])], []))
        assert {(await client.get()).status for client in clients} == {404}
        close(clients)


@on_uvloop
async def test_a_restarted_worker_has_all_changes_before_it_accepts(origin: Server, other: Server):
    async with crew(service("echo", [origin]), control=("ws://127.0.0.1:1",)) as team:
        team.crew.want = lambda *_: pytest.fail("the workers know that it does not exist")
        await team.crew.apply(Change(service("echo", [other]), ["service/default/nobody"], []))
        for index in (1, 2):
            pid = team.signal(index, signal.SIGKILL)
            await until(lambda pid=pid: not is_alive(pid))
        await team.until_open()
        clients = await team.connect_to_all(16)
        for client in clients:
            assert (await client.get()).body == b"two"
            assert (await client.get("nobody")).status == 404
        close(clients)


@on_uvloop
async def test_a_change_under_way_does_not_wait_for_a_worker_that_ends(origin: Server, other: Server):
    async with crew(service("echo", [origin])) as team:
        team.signal(1, signal.SIGSTOP)
        applying = asyncio.ensure_future(team.crew.apply(Change(service("echo", [other]), [], [])))
        await until(lambda: team.members[2].applied == 2)
        assert not applying.done()
        team.signal(1, signal.SIGKILL)
        await applying
        await team.until_open()
        clients = await team.connect_to_all(16)
        assert [(await client.get()).body for client in clients] == [b"two"] * 16
        close(clients)


@on_uvloop
async def test_a_worker_that_stands_still_is_killed_and_started_anew(origin: Server, monkeypatch):
    monkeypatch.setattr(parent, "TICK_S", 0.3)
    async with crew(service("echo", [origin])) as team:
        pid = team.signal(1, signal.SIGSTOP)
        await until(lambda: not is_alive(pid))
        await team.until_open()
        assert team.members[1].pid != pid


@on_uvloop
async def test_a_worker_that_cannot_be_watched_is_not_left_running(monkeypatch):
    started: list[int] = []

    def fail(pid: int) -> int:
        started.append(pid)
        raise OSError(errno.EMFILE, "out of descriptors")

    monkeypatch.setattr(os, "pidfd_open", fail)
    with pytest.raises(OSError, match="out of descriptors"):
        Member(1, lambda *_: None)
    assert not is_alive(started[0])


@on_uvloop
async def test_a_drain_ends_all_workers_and_fails_no_request(origin: Server):
    async with crew(service("echo", [origin]), drain_s=2.0) as team:
        answers: list[int] = []

        async def call() -> None:
            """Go on until 20 connections were ended by the drain."""
            ends = 0
            while ends < 20:
                client = await connect(team.address)
                while True:
                    reply = await client.get()
                    answers.append(reply.status)
                    if reply.all("connection") == ["close"]:
                        ends += 1
                        break
                client.close()

        callers = [asyncio.ensure_future(call()) for _ in range(8)]
        await until(lambda: len(answers) > 200)
        draining = asyncio.ensure_future(team.crew.drain())
        await asyncio.gather(*callers)
        assert await draining == 0
        assert set(answers) == {200}
        assert team.members == {}
        assert team.counted() == len(answers)
        assert team.crew._restarts.get() == 0


@on_uvloop
async def test_what_a_drain_cuts_short_is_told():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        entries = service("echo", [wire.Endpoint(address=host, port=port)])
        async with crew(entries, drain_s=0.3) as team:
            clients = await team.connect_to_all(8)
            for client in clients:
                await client.send(b"GET / HTTP/1.1\r\nHost: echo\r\n\r\n")
            await until(lambda: sum(slot.active for slot in team.crew.metrics().exchanges()) == 8)
            assert await team.crew.drain() == 8
            assert sum(slot.active for slot in team.crew.metrics().exchanges()) == 0
            close(clients)


class Control:
    """Answers what the workers want to know."""

    def __init__(self, team: Team, outlook: Outlook) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.outlook = outlook
        team.crew.want = self

    def __call__(self, namespace: str, name: str, port: int | None) -> Outlook:
        self.asked.append((namespace, name, port))
        return self.outlook


@on_uvloop
async def test_a_request_for_an_unknown_service_waits_for_the_change_that_brings_it(origin: Server):
    async with crew(control=("ws://127.0.0.1:1",)) as team:
        control = Control(team, Outlook.COMING)
        clients = await team.connect_to_all(16)
        replies = [asyncio.ensure_future(client.get("echo.default:80")) for client in clients]
        await until(lambda: len(control.asked) == 16)
        assert set(control.asked) == {("default", "echo", 80)}
        await team.crew.apply(Change(service("echo", [origin]), [], []))
        assert {(await reply).status for reply in replies} == {200}
        assert len(control.asked) == 16
        close(clients)


@pytest.mark.parametrize(
    ("outlook", "status", "fault"), [(Outlook.ABSENT, 404, "no_service"), (Outlook.REFUSED, 503, "discovery_refused")]
)
@on_uvloop
async def test_a_request_for_a_service_that_is_absent_or_refused_is_answered_so(outlook, status, fault, origin: Server):
    async with crew(control=("ws://127.0.0.1:1",)) as team:
        control = Control(team, outlook)
        clients = await team.connect_to_all(8)
        replies = [await client.get() for client in clients]
        assert {(reply.status, reply.fault) for reply in replies} == {(status, fault)}
        # Nothing of it is remembered, once those who waited are answered: it may come at any time.
        control.outlook = Outlook.COMING
        control.asked.clear()

        async def insist(client: Client) -> Reply:
            while (reply := await client.get()).status == status:
                pass
            return reply

        late = [asyncio.ensure_future(insist(client)) for client in clients]
        await until(lambda: len(control.asked) == 8)
        await team.crew.apply(Change(service("echo", [origin]), [], []))
        assert {(await reply).status for reply in late} == {200}
        close(clients)


@on_uvloop
async def test_reports_of_the_workers_are_one(origin: Server):
    async with crew(service("echo", [origin]) + service("idle", [origin])) as team:
        clients = await team.connect_to_all(16)
        for client in clients:
            await client.get()
        echo, idle = await team.crew.rows()
        assert (echo.backend, idle.backend) == ("default/echo:80", "default/idle:80")
        assert echo.address == f"{origin.host}:{origin.port}"
        assert echo.state == "ready"
        close(clients)


@on_uvloop
async def test_a_report_does_not_wait_for_ever(origin: Server, monkeypatch):
    monkeypatch.setattr(parent, "ROWS_S", 0.2)
    async with crew(service("echo", [origin])) as team:
        for index in (1, 2):
            team.signal(index, signal.SIGSTOP)
        assert await team.crew.rows() == []


@on_uvloop
async def test_services_that_were_called_are_told(origin: Server):
    async with crew(service("echo", [origin]) + service("idle", [origin])) as team:
        client = await connect(team.address)
        await client.get()
        seen: set[str] = set()

        def is_told() -> bool:
            seen.update(team.crew.used())
            return "default/echo" in seen

        await until(is_told)
        assert seen == {"default/echo"}
        client.close()


def test_a_reserved_port_is_free_for_those_who_share_it_and_no_others():
    held = reserve(("127.0.0.1", 0))
    address = held.getsockname()
    one = listen(address, is_shared=True)
    two = listen(address, is_shared=True)
    with pytest.raises(OSError, match=f"127.0.0.1:{address[1]}: "):
        reserve(address)
    with pytest.raises(OSError, match=f"127.0.0.1:{address[1]}: "):
        listen(address)
    for sock in (held, one, two):
        sock.close()
    reserve(address).close()


def test_a_port_that_somebody_listens_on_is_not_reserved():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        reserve(taken.getsockname())
