"""The whole sidecar in the test's own loop: its snapshots, its addresses, and what it survives."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshproxy import app as subject
from meshproxy import worker
from meshproxy.app import App
from meshproxy.config import Settings
from meshproxy.discovery import snapshots
from meshproxy.kit.aio import slices
from meshproxy.wire import resources as wire
from meshproxy.wire.snapshot import Entry, load_steps
from tests.fakes.client import call, connect, request
from tests.fakes.loop import on_uvloop, until
from tests.fakes.origin import answering, ok, serving
from tests.fakes.places import refusing
from tests.fakes.process import write
from tests.fakes.snapshots import service

HERE = ("127.0.0.1", 0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "POLL_S", 0.005)
    monkeypatch.setattr(worker, "POLL_S", 0.005)


@contextlib.asynccontextmanager
async def started(place: Path, entries: list[Entry]) -> AsyncIterator[App]:
    """An outbound sidecar whose snapshot is `place`."""
    write(place, entries)
    app = App(
        Settings(
            snapshot=place,
            namespace="default",
            service_account="client",
            workload="client-1",
            admin=HERE,
            health=HERE,
            outbound=HERE,
            drain_s=0.0,
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


def _outbound(app: App) -> tuple[str, int]:
    return next(address for address in app.worker.outbound.own_addresses if address not in app._admin_addresses)


def _taken(app: App, outcome: str = "taken") -> int:
    return app.registry.families["meshproxy_snapshot_loads_total"].get(outcome)


@on_uvloop
async def test_a_file_that_is_only_touched_is_not_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "snapshot.json"
    entries = service("echo", [refusing()])
    async with started(place, entries) as app:
        kept = app.worker.outbound.services.destinations["default", "echo", 80]
        compiled: list[bytes] = []

        def steps(data: bytes):
            compiled.append(data)
            return load_steps(data)

        monkeypatch.setattr(snapshots, "load_steps", steps)
        os.utime(place, (1, 1))
        assert app._source._file.is_changed()
        await until(lambda: not app._source._file.is_changed())
        write(place, entries)
        await until(lambda: not app._source._file.is_changed())
        assert (compiled, _taken(app)) == ([], 1)
        assert app.stream()["loaded_at"].endswith("Z")
        assert app.worker.outbound.services.destinations["default", "echo", 80] is kept
        write(place, service("other", [refusing()]))
        await until(lambda: _taken(app) == 2)
        assert len(compiled) == 1


@on_uvloop
async def test_the_loop_has_its_turns_while_a_large_snapshot_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With slices of no length there is a turn for each step: none of the work is done in one go."""
    place = tmp_path / "snapshot.json"
    entries = [entry for n in range(1_000) for entry in service(f"s{n}", [refusing_at(n)])]
    async with started(place, service("echo", [refusing()])) as app:
        monkeypatch.setattr(slices, "SLICE_S", -1.0)
        loop = asyncio.get_running_loop()
        turns = 0

        def on_turn() -> None:
            nonlocal turns, handle
            turns += 1
            handle = loop.call_soon(on_turn)

        handle = loop.call_soon(on_turn)
        write(place, entries)
        await until(lambda: _taken(app) == 2)
        handle.cancel()
        # Decoded, checked by itself, checked against the others, compiled: each resource has a step in each.
        assert turns >= 4 * len(entries)


def refusing_at(n: int) -> wire.Endpoint:
    return wire.Endpoint(address=f"10.0.{n >> 8}.{n & 255}", port=80)


@on_uvloop
async def test_files_are_watched_on_after_a_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "snapshot.json"

    def broken(data: bytes) -> None:
        raise ZeroDivisionError

    async with started(place, service("echo", [refusing()])) as app:
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR, "meshproxy"):
            patch.setattr(snapshots, "load_steps", broken)
            write(place, service("echo", [refusing(), refusing()]))
            await until(lambda: _taken(app, "refused") == 1)
        assert "by a defect; the one in use stays" in caplog.text
        async with serving(answering(ok())) as origin:
            write(place, service("echo", [origin]))
            await until(lambda: _taken(app) == 2)
            assert (await call(_outbound(app), request())).status == 200


@on_uvloop
async def test_an_endpoint_at_the_sidecars_own_admin_or_health_port_is_a_loop(tmp_path: Path) -> None:
    place = tmp_path / "snapshot.json"
    async with started(place, service("echo", [refusing()])) as app:
        assert len(app._admin_addresses) == 2
        for n, (host, port) in enumerate(app._admin_addresses):
            assert port
            write(place, service("echo", [wire.Endpoint(address=host, port=port)]))
            await until(lambda n=n: _taken(app) == n + 2)
            reply = await call(_outbound(app), request("GET", "/healthz/live"))
            assert (reply.status, reply.fault) == (508, "loop")


@on_uvloop
async def test_a_client_that_does_not_take_its_answer_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "ADMIN_GRACE_S", 0.05)
    async with started(tmp_path / "snapshot.json", service("echo", [refusing()])) as app:
        entry = next(iter(app.resources()))
        monkeypatch.setattr(app, "resources", lambda: itertools.repeat(entry))
        stuck = await connect(app._admin_addresses[0], receive_bytes=65_536)
        await stuck.send(request("GET", "/config", "localhost"))
        await stuck.exactly(10)
    with contextlib.closing(stuck), contextlib.suppress(ConnectionError):
        assert await stuck.rest() != b""
