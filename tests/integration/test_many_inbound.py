"""More inbound exchanges at a time than a circuit breaker would let through."""

from __future__ import annotations

import resource

import pytest

from tests.fakes.client import connect, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, ok, serving
from tests.fakes.sidecar import running

CLIENTS = 1_100
DESCRIPTORS = 4 * CLIENTS + 200  # both ends of both connections of each are in this process


@pytest.fixture
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < DESCRIPTORS:
        pytest.skip(f"only {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@on_uvloop
async def test_all_of_more_than_a_thousand_inbound_exchanges_at_a_time_are_served(descriptors: None) -> None:
    async def script(connection: Connection) -> None:
        one = await connection.head()
        if one is not None:
            await connection.body(one)
            await connection.send(ok())

    async with serving(script) as app, running(app=(app.host, app.port)) as sidecar:
        clients = []
        try:
            for _ in range(CLIENTS):
                client = await connect(sidecar.address)
                clients.append(client)
                await client.send(request("POST", "/", "echo", "content-length: 2") + b"a")
            await until(lambda: len(app.requests) == CLIENTS)
            assert (sidecar.stack.active, sidecar.finished) == (CLIENTS, [])
            for client in clients:
                await client.send(b"b")
            await until(lambda: len(sidecar.finished) == CLIENTS)
            assert {one.status for one in sidecar.finished} == {200}
        finally:
            for client in clients:
                client.close()
