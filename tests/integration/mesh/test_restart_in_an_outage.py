"""A sidecar that is restarted while there is no control plane serves what it knew, and says how old that is."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.control import build
from tests.fakes.load import Server
from tests.fakes.mesh import get, running, slice_of
from tests.fakes.origin import ok
from tests.fakes.process import Sidecar


def stream(sidecar: Sidecar) -> dict:
    """What admin says of the configuration."""
    return json.loads(sidecar.admin("/stream")[1])


def kept(directory: Path) -> bytes:
    """What is on disk; nothing before the first write."""
    path = directory / "state" / "last-known-good.json"
    return path.read_bytes() if path.exists() else b""


def test_a_sidecar_restarted_without_a_control_plane_serves_its_last_known_good(tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path / "state"))
    with running(tmp_path) as mesh:
        plane = mesh.control()
        for name, namespace in (("echo", "shop"), ("far", "bank")):
            piece = slice_of(name, mesh.server(Server(ok(name.encode()))))
            piece["metadata"]["namespace"] = namespace
            plane.apply(build.service(name, namespace=namespace), piece)
        first = mesh.sidecar(plane.url, *state)
        address = first.addresses["outbound"]
        assert get(address, "far.bank") == (200, b"far")
        mesh.until(lambda: b"routes/bank/far:80" in kept(tmp_path))
        plane.kill()
        first.signal(signal.SIGKILL)
        first.process.wait()

        second = mesh.sidecar(plane.url, *state)
        assert second.has_logged("the last known good is in effect")
        assert second.admin("/healthz/ready") == (200, "ready\n")
        address = second.addresses["outbound"]
        assert get(address, "echo") == (200, b"echo")
        assert get(address, "far.bank") == (200, b"far")
        told = stream(second)
        assert (told["connected_to"], told["is_synced"], told["last_contact_at"]) == ("", False, None)
        assert told["configuration_age_s"] > 0
        assert told["restored_from"]
        assert second.metric("meshproxy_stream_connected ") == 0
        mesh.until(lambda: stream(second)["configuration_age_s"] > told["configuration_age_s"] + 0.1)
        assert plane.url in "".join(second.log)

        # It follows again what it restored, as soon as there is somebody to follow.
        plane.start()
        second.signal(signal.SIGHUP)
        mesh.until(lambda: stream(second)["is_synced"])
        changed = mesh.server(Server(ok(b"changed")))
        plane.apply(slice_of("echo", changed))
        mesh.until(lambda: get(address, "echo") == (200, b"changed"))


def test_what_was_written_for_another_service_account_is_not_taken(tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path / "state"))
    with running(tmp_path) as mesh:
        plane = mesh.control()
        plane.apply(build.service("echo"), slice_of("echo", mesh.server(Server(ok()))))
        first = mesh.sidecar(plane.url, *state, "--drain-s", "0.2")
        mesh.until(lambda: get(first.addresses["outbound"], "echo")[0] == 200)
        plane.stop()
        first.signal(signal.SIGTERM)
        assert first.wait() == 0
        before = kept(tmp_path)
        stranger = mesh.sidecar(plane.url, *state, account="stranger", waits=False)
        assert stranger.has_logged("is not used: it was written for shop/client")
        status, text = stranger.admin("/healthz/ready")
        assert status == 503
        assert "waiting for the first configuration" in text
        assert json.loads(stranger.admin("/config")[1])["resources"] == []
        assert kept(tmp_path) == before != b""
