"""A connection on which a timeout has answered goes on, and ends by its idle time like any other."""

from __future__ import annotations

import asyncio

import pytest

from meshproxy.proxy import downstream
from meshproxy.wire import resources as wire
from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import Connection, ok, serving
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service

TIMEOUTS = [wire.Timeouts(request_s=0.05), wire.Timeouts(backend_request_s=0.05)]


async def _hangs(connection: Connection) -> None:
    while one := await connection.request():
        if one.target != "/hangs":
            await connection.send(ok())


@on_uvloop
@pytest.mark.parametrize("timeouts", TIMEOUTS, ids=["request", "attempt"])
async def test_the_idle_time_ends_a_connection_whose_last_answer_was_a_timeout(
    timeouts: wire.Timeouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downstream, "IDLE_S", 0.1)
    async with (
        serving(_hangs) as origin,
        running(service("echo", [origin], timeouts=timeouts)) as sidecar,
        connected(sidecar.address) as client,
    ):
        assert (await client.get("echo", "/hangs")).status == 504
        async with asyncio.timeout(5):
            assert await client.rest() == b""


@on_uvloop
@pytest.mark.parametrize("timeouts", TIMEOUTS, ids=["request", "attempt"])
async def test_a_request_behind_a_timeout_has_its_own_deadline(timeouts: wire.Timeouts) -> None:
    async with (
        serving(_hangs) as origin,
        running(service("echo", [origin], timeouts=timeouts)) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(request("GET", "/hangs") * 2 + request())
        assert [(await client.response()).status for _ in range(3)] == [504, 504, 200]
