"""What an operator does by kubectl and meshctl is what requests then do, and what explain says of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.control import build
from tests.fakes.load import Server, calling
from tests.fakes.mesh import ControlPlane, Mesh, find_kubectl, get, running, slice_of
from tests.fakes.origin import ok
from tests.fakes.process import Sidecar


def deploy(mesh: Mesh) -> tuple[ControlPlane, Sidecar]:
    plane = mesh.control()
    plane.apply(build.service("echo"))
    for name in ("echo-v1", "echo-v2"):
        plane.apply(build.service(name), slice_of(name, mesh.server(Server(ok(name.encode())))))
    return plane, mesh.sidecar(plane.url)


def shares(plane: ControlPlane) -> dict[str, float]:
    """Which backends explain names, with their percent."""
    shown = json.loads(plane.meshctl("explain", "http://echo/", "--from", "shop/client", "-o", "json"))
    assert shown["failsPercent"] == 0
    return {choice["backend"]: choice["sharePercent"] for choice in shown["backends"] if choice["sharePercent"]}


def test_a_canary_is_shifted_and_explain_agrees_with_where_requests_go(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane, client = deploy(mesh)
        weighted = [{"name": name, "port": 80, "weight": weight} for name, weight in (("echo-v1", 1), ("echo-v2", 0))]
        plane.apply(build.http_route("echo", build.rule(*weighted)))
        with calling(client.addresses["outbound"]) as load:
            mesh.until(lambda: load.outcomes[200, b"echo-v1"] > 20)
            assert load.outcomes[200, b"echo-v2"] == 0
            assert shares(plane) == {"shop/echo-v1:80": 100}
            shown = plane.meshctl("route", "shift", "echo", "v2=50", "-n", "shop")
            back = re.search(r"meshctl (route shift .*)", shown)
            assert back is not None, shown
            mesh.until(lambda: load.outcomes[200, b"echo-v2"] > 20)
            assert shares(plane) == {"shop/echo-v1:80": 50, "shop/echo-v2:80": 50}
            plane.meshctl("route", "shift", "echo", "v2=100", "-n", "shop")
            mesh.until(lambda: all(get(client.addresses["outbound"], "echo")[1] == b"echo-v2" for _ in range(20)))
            assert shares(plane) == {"shop/echo-v2:80": 100}
            # The way back that was printed leads back.
            plane.meshctl(*back[1].split())
            assert shares(plane) == {"shop/echo-v1:80": 100}
            mesh.until(lambda: all(get(client.addresses["outbound"], "echo")[1] == b"echo-v1" for _ in range(20)))
        assert {outcome[0] for outcome in load.outcomes} == {200}
        assert "client-1" in plane.meshctl("proxies")


@pytest.mark.skipif(not find_kubectl(), reason="there is no kubectl")
def test_a_route_applied_by_kubectl_reaches_the_sidecar(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane, client = deploy(mesh)
        address = client.addresses["outbound"]
        route = build.http_route(
            "echo",
            build.rule("echo-v2", matches=[{"headers": [{"name": "x-canary", "value": "1"}]}]),
            build.rule("echo-v1"),
        )
        shown = kubectl(plane, tmp_path, "apply", "--server-side", "-f", "-", document=route)
        assert "serverside-applied" in shown
        mesh.until(lambda: get(address, "echo") == (200, b"echo-v1"))
        assert get(address, "echo", **{"x-canary": "1"}) == (200, b"echo-v2")
        explained = ("explain", "http://echo/", "--from", "shop/client")
        assert "echo-v2" in plane.meshctl(*explained, "-H", "x-canary:1")
        status = json.loads(kubectl(plane, tmp_path, "get", "httproute", "echo", "-o", "json"))["status"]
        conditions = {one["type"]: one["status"] for one in status["parents"][0]["conditions"]}
        assert conditions["Accepted"] == conditions["ResolvedRefs"] == "True"
        kubectl(plane, tmp_path, "delete", "httproute", "echo")
        # Without a route all goes to the Service itself, which has no endpoints here.
        mesh.until(lambda: get(address, "echo")[0] == 503)
        plane.meshctl(*explained, status=1)


def kubectl(plane: ControlPlane, home: Path, *words: str, document: object = None) -> str:
    place = plane.api.replace("http://", f"http://kubectl:{plane.token}@")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "mesh", "cluster": {"server": place}}],
        "contexts": [{"name": "mesh", "context": {"cluster": "mesh", "user": "", "namespace": "shop"}}],
        "current-context": "mesh",
    }
    (home / "kubeconfig").write_text(yaml.safe_dump(config))
    unchecked = ["--validate=false"] if "apply" in words else []
    ended = subprocess.run(
        [find_kubectl(), *words, *unchecked],
        env={"HOME": str(home), "KUBECONFIG": str(home / "kubeconfig"), "PATH": os.environ["PATH"]},
        input=yaml.safe_dump(document) if document is not None else "",
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
