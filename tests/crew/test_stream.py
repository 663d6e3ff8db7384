"""Several workers of a whole sidecar on one push stream."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

from meshproxy.app import App
from meshproxy.config import Settings
from meshproxy.crew.parent import Crew
from tests.fakes.client import Client, connect
from tests.fakes.load import server
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import ok
from tests.fakes.plane import pushing
from tests.fakes.snapshots import service

HERE = ("127.0.0.1", 0)
CLIENTS = 16


@contextlib.asynccontextmanager
async def following(url: str, **settings) -> AsyncIterator[App]:
    """An outbound sidecar of two workers in another namespace than the Services'."""
    app = App(
        Settings(
            snapshot=None,
            control=(url,),
            namespace="elsewhere",
            service_account="client",
            workload="client-1",
            admin=HERE,
            outbound=HERE,
            workers=2,
            **{"drain_s": 0.0, **settings},
        )
    )
    running = asyncio.create_task(app.run())
    try:
        await until(lambda: running.done() or (app._is_started and not app.unready() and len(open_pids(app)) == 2))
        yield app
    finally:
        app.drain()
        assert await running == 0


def crew_of(app: App) -> Crew:
    assert isinstance(app.worker, Crew)
    return app.worker


def open_pids(app: App) -> dict[int, int]:
    return {index: member.pid for index, member in crew_of(app)._members.items() if member.is_open}


async def clients_of(app: App) -> list[Client]:
    """So many that every worker has some of them."""
    address = crew_of(app)._sockets["outbound"].getsockname()
    return [await connect(address) for _ in range(CLIENTS)]


async def answers(clients: list[Client], host: str) -> list[tuple[int, bytes]]:
    replies = await asyncio.gather(*(client.get(host) for client in clients))
    return [(reply.status, reply.body if reply.status == 200 else reply.fault.encode()) for reply in replies]


@on_uvloop
async def test_what_one_worker_wants_comes_to_all_over_one_stream():
    with server(ok(b"one")) as one, server(ok(b"two")) as two:
        async with pushing(service("echo", [one])) as plane, following(plane.url) as app:
            clients = await clients_of(app)
            assert await answers(clients, "echo.default") == [(200, b"one")] * CLIENTS
            assert await answers(clients, "nobody.default") == [(404, b"no_service")] * CLIENTS
            assert len(plane.hub.proxies()) == 1
            # Changes come unasked, also of what did not exist.
            plane.use([*service("echo", [two]), *service("nobody", [one])])
            entries = {entry.name: entry for entry in service("echo", [two])}
            name = "endpoints/default/echo:80"
            await until(lambda: app.worker.entries[name] == entries[name])
            await until(lambda: "routes/default/nobody:80" in app.worker.entries)
            # An Ack says that all workers have it.
            await until(lambda: all(row.synced for row in plane.hub.proxies()))
            assert await answers(clients, "echo.default") == [(200, b"two")] * CLIENTS
            assert await answers(clients, "nobody.default") == [(200, b"one")] * CLIENTS
            for client in clients:
                client.close()


@on_uvloop
async def test_a_restarted_worker_needs_no_control_plane():
    with server(ok(b"one")) as one:
        async with pushing(service("echo", [one])) as plane, following(plane.url) as app:
            clients = await clients_of(app)
            assert await answers(clients, "echo.default") == [(200, b"one")] * CLIENTS
            for client in clients:
                client.close()
            await plane.server.stop()
            before = open_pids(app)
            for pid in before.values():
                os.kill(pid, signal.SIGKILL)
            await until(lambda: len(now := open_pids(app)) == 2 and not set(now.values()) & set(before.values()))
            clients = await clients_of(app)
            assert await answers(clients, "echo.default") == [(200, b"one")] * CLIENTS
            for client in clients:
                client.close()
