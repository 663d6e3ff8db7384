"""What meshctl shows of a cluster, and what it refuses to do to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.scene import Scene
from tests.control import build
from tests.fakes.cluster import outbound
from tests.fakes.mesh import get


def test_the_objects_of_the_cluster_are_shown(shop: Scene) -> None:
    there = ("-n", shop.namespace)
    echo = shop.serve("echo")
    shop.kubectl.apply(
        build.http_route("echo", build.rule("echo"), namespace=shop.namespace),
        build.pod("lonely", namespace=shop.namespace) | {"spec": {"containers": [{"name": "app", "image": "none"}]}},
    )
    plane = shop.control()
    shown = {kind: plane.meshctl("get", kind, *there) for kind in ("services", "endpointslices", "httproutes", "pods")}
    assert "echo" in shown["services"]
    assert echo.host in shown["endpointslices"]
    assert "echo" in shown["httproutes"]
    assert "lonely" in shown["pods"]
    (slice_,) = json.loads(plane.meshctl("get", "endpointslices", *there, "-o", "json"))["items"]
    asked = shop.kubectl.get("endpointslice", slice_["metadata"]["name"], *there)
    assert slice_["metadata"]["resourceVersion"] == asked["metadata"]["resourceVersion"]
    assert slice_["endpoints"][0]["addresses"] == asked["endpoints"][0]["addresses"]


def test_a_sidecar_and_the_way_of_its_requests_are_shown(shop: Scene) -> None:
    shop.serve("echo")
    plane = shop.control()
    client = shop.sidecar(plane)
    shop.until(lambda: get(outbound(client), "echo") == (200, b"echo"))
    assert "synced" in plane.meshctl("proxies", "-n", shop.namespace)
    assert f"{shop.namespace}/echo" in plane.meshctl("proxies", f"{shop.namespace}/client-0", "endpoints")
    explained = plane.meshctl("explain", "http://echo/", "--from", f"{shop.namespace}/client")
    assert f"{shop.namespace}/echo:80" in explained


def test_a_namespace_that_does_not_exist_is_told(shop: Scene) -> None:
    plane = shop.control()
    shown = plane.meshctl("explain", "http://echo.nowhere-at-all/", "--from", f"{shop.namespace}/client", status=1)
    assert "namespace nowhere-at-all does not exist" in shown


def test_writes_are_refused_and_kubectl_named(shop: Scene, tmp_path: Path) -> None:
    plane = shop.control()
    manifest = tmp_path / "service.yaml"
    manifest.write_text(json.dumps(shop.service("mine")))
    words = ["--api", plane.api, "--token-file", str(plane.directory / "token"), "apply", "-f", str(manifest)]
    ended = subprocess.run(
        [sys.executable, "-m", "control.cli.app", *words], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "use kubectl" in ended.stderr
    assert not shop.kubectl.items("services", "-n", shop.namespace)


def test_the_kubeconfig_of_kubectl_is_the_one_that_is_read(shop: Scene) -> None:
    shop.serve("echo")
    plane = shop.mesh.control("--kubernetes")
    assert any(os.environ["KUBECONFIG"] in line for line in plane.log)
    client = shop.sidecar(plane)
    shop.until(lambda: get(outbound(client), "echo") == (200, b"echo"))
    plane.meshctl("check")
