"""A Service is learned of when it is called first; one that does not exist is answered so at once."""

from __future__ import annotations

import time
from pathlib import Path

from tests.control import build
from tests.fakes.load import Server
from tests.fakes.mesh import get, running, slice_of
from tests.fakes.origin import ok


def test_the_first_call_of_a_service_succeeds(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane = mesh.control()
        names = [f"s{n}" for n in range(20)]
        for name in names:
            plane.apply(build.service(name), slice_of(name, mesh.server(Server(ok(name.encode())))))
        # In another namespace: nothing of it is known before the call.
        client = mesh.sidecar(plane.url, namespace="park")
        assert client.metric("meshproxy_subscriptions ") == 0
        took_s = []
        for name in names:
            began = time.monotonic()
            outcome = get(client.addresses["outbound"], f"{name}.shop")
            took_s.append(round(time.monotonic() - began, 4))
            assert outcome == (200, name.encode()), f"after {took_s} s"
        assert client.metric("meshproxy_subscriptions ") == 4 * len(names), f"{took_s} s"


def test_a_service_that_does_not_exist_is_told_so_until_it_does(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane = mesh.control()
        client = mesh.sidecar(plane.url, namespace="park")
        address = client.addresses["outbound"]
        # Not 503: nothing was waited out.
        for _ in range(3):
            status, body = get(address, "late.shop")
            assert status == 404, body
        plane.apply(build.service("late"), slice_of("late", mesh.server(Server(ok(b"late")))))
        mesh.until(lambda: get(address, "late.shop") == (200, b"late"))
        plane.delete(build.service("late"))
        mesh.until(lambda: get(address, "late.shop")[0] == 404)
