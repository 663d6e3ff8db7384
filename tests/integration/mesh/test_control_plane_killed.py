"""The control plane dies without a word, and nobody notices; what it acknowledged is there when it is back."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.control import build
from tests.fakes.load import Server, calling
from tests.fakes.mesh import path_of, running, slice_of
from tests.fakes.origin import ok


def test_a_killed_control_plane_fails_no_request_and_forgets_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane = mesh.control()
        plane.apply(build.service("echo"))
        for name in ("v1", "v2", "v3"):
            place = mesh.server(Server(ok(name.encode())))
            plane.apply(build.service(name), slice_of(name, place))
        plane.apply(build.http_route("echo", build.rule("v1")))
        client = mesh.sidecar(plane.url)
        with calling(client.addresses["outbound"]) as load:
            mesh.until(lambda: load.outcomes[200, b"v1"] > 20)
            acknowledged = build.http_route("echo", build.rule("v2"))
            plane.apply(acknowledged)
            plane.kill()
            mesh.until(lambda: client.has_logged("no control plane:"))
            before = load.total
            mesh.until(lambda: load.total > before + 100)
            plane.start()
            assert plane.request("GET", path_of(acknowledged))["spec"]["rules"][0]["backendRefs"][0]["name"] == "v2"
            mesh.until(lambda: load.outcomes[200, b"v2"] > 20)
            plane.apply(build.http_route("echo", build.rule("v3")))
            mesh.until(lambda: load.outcomes[200, b"v3"] > 20)
        assert set(load.outcomes) == {(200, b"v1"), (200, b"v2"), (200, b"v3")}
        mesh.until(lambda: plane.proxies()["client-1"]["synced"])


def test_a_control_plane_killed_again_and_again_fails_no_request(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane = mesh.control()
        names = [f"v{n}" for n in range(3)]
        plane.apply(build.service("echo"))
        for name in names:
            plane.apply(build.service(name), slice_of(name, mesh.server(Server(ok(name.encode())))))
        plane.apply(build.http_route("echo", build.rule(names[0])))
        clients = [mesh.sidecar(plane.url, name=f"client-{n}") for n in range(2)]
        with (
            calling(clients[0].addresses["outbound"], 2) as one,
            calling(clients[1].addresses["outbound"], 2) as two,
        ):
            for name in names[1:]:
                plane.apply(build.http_route("echo", build.rule(name)))
                plane.kill()
                plane.start()
                for client in clients:
                    client.signal(signal.SIGHUP)  # do not wait any longer
                mesh.until(lambda name=name: all(load.outcomes[200, name.encode()] for load in (one, two)))
        assert {outcome[0] for load in (one, two) for outcome in load.outcomes} == {200}
