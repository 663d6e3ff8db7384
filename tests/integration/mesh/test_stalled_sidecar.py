"""A sidecar that stands still keeps nobody waiting: its stream is closed, and it catches up when it moves again."""

from __future__ import annotations

import signal
from pathlib import Path

from control.push.bounds import Bounds
from meshproxy.wire import resources as wire
from meshproxy.wire.snapshot import Entry, entry_of
from tests.fakes.hub import pushing_in_thread
from tests.fakes.load import server
from tests.fakes.mesh import get, running, states
from tests.fakes.origin import ok
from tests.fakes.snapshots import service

CHANGES = 40
BOUNDS = Bounds(unacknowledged_s=1.0, sweep_s=0.1, close_s=0.1)


def test_a_stalled_sidecar_blocks_nobody_and_catches_up(tmp_path: Path) -> None:
    with (
        server(ok(b"last")) as last,
        pushing_in_thread(tmp_path / "api", service("echo", []), BOUNDS) as hub,
        running(tmp_path) as mesh,
    ):
        names = ("stalled", "well-1", "well-2")
        stalled, *well = [mesh.sidecar(hub.url, name=name, namespace="default") for name in names]
        mesh.until(lambda: all(row.synced for row in hub.proxies().values()) and len(hub.proxies()) == 3)
        stalled.signal(signal.SIGSTOP)
        try:
            for n in range(CHANGES):
                hub.use(_many(n))
                place = f"10.0.0.1:{1000 + n}"
                mesh.until(lambda place=place: all(place in states(client) for client in well))
                if (row := hub.proxies().get("stalled")) is not None:
                    assert row.unacknowledged <= BOUNDS.window_pushes
            mesh.until(lambda: "stalled" not in hub.proxies())
            assert hub.metric(r'meshcontrol_streams_closed_total\{reason="stalled"\}') == 1
            assert hub.metric("meshcontrol_streams_closed_total") == 1
            hub.use(service("echo", [last])[2])
            for client in well:
                mesh.until(lambda client=client: get(client.addresses["outbound"], "echo") == (200, b"last"))
        finally:
            stalled.signal(signal.SIGCONT)
        mesh.until(lambda: get(stalled.addresses["outbound"], "echo") == (200, b"last"))
        mesh.until(lambda: "stalled" in hub.proxies() and hub.proxies()["stalled"].synced)


def _many(n: int) -> Entry:
    """Endpoints in large numbers, so that what waits for the stalled one does not fit into its socket."""
    items = [wire.Endpoint(address=f"10.0.{i // 250}.{i % 250 + 1}", port=1000 + n) for i in range(1_000)]
    return entry_of("endpoints/default/echo:80", wire.Endpoints(endpoints=items))
