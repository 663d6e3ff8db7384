"""Signals that come at any time, also before the sidecar has come up."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest

from meshproxy.wire.snapshot import Entry
from tests.fakes.places import refusing
from tests.fakes.process import Sidecar, write
from tests.fakes.snapshots import service

FLAGS = ("--namespace", "default", "--service-account", "client", "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0")


def _entries() -> list[Entry]:
    return service("echo", [refusing()])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_end_that_is_asked_for_during_the_start_is_an_orderly_one(workers: str, tmp_path: Path) -> None:
    write(tmp_path / "snapshot.json", _entries())
    sidecar = Sidecar(
        tmp_path, [*FLAGS, "--snapshot", str(tmp_path / "snapshot.json"), "--workers", workers, "--drain-s", "0"], None
    )
    try:
        sidecar.until(lambda: sidecar.has_logged("admin: listening"))
        sidecar.signal(signal.SIGTERM)
        assert sidecar.wait() == 0
        assert sidecar.has_logged("ended")
    finally:
        sidecar.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_while_a_control_plane_is_being_connected_to_is_quick(number: signal.Signals, tmp_path: Path) -> None:
    # The kernel completes the connection, and nobody ever reads.
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"ws://127.0.0.1:{hole.getsockname()[1]}"
        sidecar = Sidecar(tmp_path, [*FLAGS, "--control", url, "--state-dir", str(tmp_path), "--drain-s", "0"], None)
        try:
            sidecar.until(lambda: sidecar.has_logged("not ready"))
            hole.accept()[0].close()
            sidecar.signal(signal.SIGHUP)
            with hole.accept()[0]:
                began = time.monotonic()
                sidecar.signal(number)
                assert sidecar.wait() == 0
            assert time.monotonic() - began < 4, "the attempt to connect takes 5 s"
        finally:
            sidecar.stop()
    assert not any("Traceback" in line for line in sidecar.log)
