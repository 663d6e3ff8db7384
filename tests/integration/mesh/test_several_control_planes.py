"""Of several control planes any one does: when the one in use dies, the sidecar goes to another one that lives."""

from __future__ import annotations

import json
from pathlib import Path

from tests.control import build
from tests.fakes.load import Server, calling
from tests.fakes.mesh import ControlPlane, running, slice_of
from tests.fakes.origin import ok


def test_a_sidecar_moves_over_to_a_control_plane_that_lives(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        places = {name: mesh.server(Server(ok(name.encode()))) for name in ("first", "second")}
        planes = {plane.url: plane for plane in (mesh.control(), mesh.control())}
        for plane in planes.values():
            plane.apply(build.service("echo"), slice_of("echo", places["first"]))
        dead = ControlPlane(tmp_path / "never-started").url
        client = mesh.sidecar([dead, *planes], "--state-dir", str(tmp_path / "state"))

        def connected_to() -> str:
            return json.loads(client.admin("/stream")[1])["connected_to"]

        with calling(client.addresses["outbound"]) as load:
            mesh.until(lambda: load.outcomes[200, b"first"] > 20)
            used = planes.pop(connected_to())
            (other,) = planes.values()
            assert other.proxies() == {}
            used.kill()
            mesh.until(lambda: connected_to() == other.url)
            mesh.until(lambda: other.proxies()["client-1"]["synced"])
            other.apply(slice_of("echo", places["second"]))
            mesh.until(lambda: load.outcomes[200, b"second"] > 20)
        assert set(load.outcomes) == {(200, b"first"), (200, b"second")}
        assert client.metric(r'meshproxy_stream_connects_total\{outcome="opened"\}') >= 2
