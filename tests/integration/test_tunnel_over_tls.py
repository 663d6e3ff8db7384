"""A tunnel through two sidecars in mTLS: there is no half-close in it, so each side's end is the whole tunnel's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshproxy.tls.reload import IdentityStore
from meshproxy.wire import resources as wire
from tests.fakes.client import Client, connected, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import Connection, serving
from tests.fakes.pki import Authority, make_ca, make_identity
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service

ASK = request("GET", "/chat", "echo", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
AT_ONCE_S = 5.0
"""Far below every timeout that would end a tunnel in which nothing moves."""


@pytest.fixture(scope="module")
def ca() -> Authority:
    return make_ca()


def _identity(place: Path, account: str, ca: Authority) -> IdentityStore:
    directory = make_identity(place / account, f"spiffe://cluster.local/ns/default/sa/{account}", ca)
    return IdentityStore(directory, "default", account, time.time())


class App:
    """Switches, says hello, and then ends when it is told to or when its client has."""

    def __init__(self) -> None:
        self.end = ""
        self.go = asyncio.Event()
        self.heard: bytes | None = None

    async def script(self, connection: Connection) -> None:
        await connection.head()
        await connection.send(SWITCH + b"hello")
        if self.end:
            await self.go.wait()
            getattr(connection, self.end)()
        self.heard = await connection.until_gone() if not self.end else b""


@contextlib.asynccontextmanager
async def tunnel(place: Path, ca: Authority, app: App) -> AsyncIterator[tuple[Client, list[Sidecar]]]:
    async with (
        serving(app.script) as origin,
        running(app=(origin.host, origin.port), identities=_identity(place, "server", ca)) as server,
        running(
            service(
                "echo",
                [
                    wire.Endpoint(
                        address=server.address[0],
                        port=server.address[1],
                        meshed=True,
                        identity="spiffe://cluster.local/ns/default/sa/server",
                    )
                ],
            ),
            identities=_identity(place, "client", ca),
        ) as near,
        connected(near.address) as client,
    ):
        await client.send(ASK)
        await client.exactly(len(SWITCH) + 5)
        assert [slot.open for slot in near.stack.upstream_slots] == [0, 1]
        yield client, [near, server]


async def _is_over(sidecars: list[Sidecar]) -> None:
    for sidecar in sidecars:
        await until(lambda sidecar=sidecar: sidecar.finished and not sidecar.stack.connections)
        await until(lambda sidecar=sidecar: sidecar.upstreams_open == 0)
        assert [(one.status, one.fault) for one in sidecar.finished] == [(101, None)]


@on_uvloop
@pytest.mark.parametrize("end", ["half_close", "close", "reset"])
async def test_the_client_sees_at_once_that_the_application_has_ended_the_tunnel(
    end: str, tmp_path: Path, ca: Authority
) -> None:
    app = App()
    app.end = end
    async with tunnel(tmp_path, ca, app) as (client, sidecars):
        app.go.set()
        async with asyncio.timeout(AT_ONCE_S):
            assert await client.rest() == b""
            await _is_over(sidecars)


@on_uvloop
@pytest.mark.parametrize("end", ["half_close", "close", "reset"])
async def test_the_application_sees_at_once_that_the_client_has_ended_the_tunnel(
    end: str, tmp_path: Path, ca: Authority
) -> None:
    app = App()
    async with tunnel(tmp_path, ca, app) as (client, sidecars):
        await client.send(b"last words")
        getattr(client, end)()
        async with asyncio.timeout(AT_ONCE_S):
            await until(lambda: app.heard is not None)
            await _is_over(sidecars)
        # A reset may overtake what was sent before it, an orderly end may not.
        assert app.heard == b"last words" or end == "reset"
