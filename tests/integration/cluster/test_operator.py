"""What an operator sees of a cluster through meshctl; and that nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

from tests.control import build
from tests.fakes.cluster import KINDS, cluster, outbound
from tests.fakes.mesh import get

READ = {"get", "list", "watch"}


def test_get_proxies_and_explain_tell_of_the_cluster(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        shop.api.put(build.pod("echo-1", "echo"))
        plane = shop.control()
        client = shop.sidecar()
        shop.until(lambda: get(outbound(client), "echo") == (200, blue.here.encode()))
        services = plane.meshctl("get", "services", "-n", "shop")
        assert {line.split()[0] for line in services.splitlines()[1:]} == {"echo", "blue"}
        route = json.loads(plane.meshctl("get", "httproute", "echo", "-n", "shop", "-o", "json"))
        kept = shop.api.get("HTTPRoute", "shop", "echo")
        assert route["spec"]["rules"][0]["backendRefs"][0]["name"] == "blue"
        for name in ("name", "namespace", "uid", "resourceVersion"):
            assert route["metadata"][name] == kept["metadata"][name]
        for kind in ("endpointslices", "pods", "referencegrants"):
            plane.meshctl("get", kind, "-A")
        plane.meshctl("get", "service", "nobody", "-n", "shop", status=1)
        shown = plane.meshctl("proxies", "-o", "wide")
        assert "client-1" in shown
        assert "synced" in shown
        told = plane.meshctl("explain", "http://echo/", "--from", "shop/client")
        assert "shop/blue:80" in told
        nowhere = plane.meshctl("explain", "http://echo.nowhere/", "--from", "shop/client", status=1)
        assert "namespace nowhere does not exist" in nowhere


def test_a_watch_through_our_api_shows_what_the_cluster_does(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        shop.serve("echo")
        plane = shop.control()
        found = plane.request("GET", "/api/v1/namespaces/shop/services")
        version = found["metadata"]["resourceVersion"]
        shop.serve("later")
        shop.until(lambda: plane.metric(r'meshcontrol_objects\{kind="Service"') == 2)
        path = f"/api/v1/namespaces/shop/services?watch=1&resourceVersion={version}&timeoutSeconds=1"
        (event,) = plane.watch(path)
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "later")


def test_writes_are_refused_with_a_word_about_kubectl(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        split = build.rule("blue", {"name": "echo", "port": 80, "weight": 0})
        shop.api.put(build.http_route("split", split, parents=[build.parent("nobody")]))
        plane = shop.control()
        client = shop.sidecar()
        manifest = tmp_path / "route.json"
        manifest.write_text(json.dumps(build.http_route("echo", build.rule("nobody"))))
        before = shop.api.version
        for words in (
            ("apply", "-f", str(manifest)),
            ("delete", "httproute", "echo", "-n", "shop"),
            ("route", "shift", "split", "echo=50", "-n", "shop"),
        ):
            told = plane.meshctl(*words, status=1)
            assert "use kubectl" in told, told
        assert shop.api.version == before
        assert {asked.verb for asked in shop.api.asked} <= READ
        assert get(outbound(client), "echo") == (200, blue.here.encode())


def test_check_says_what_is_well_and_what_is_not(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        plane = shop.control()
        client = shop.sidecar()
        shop.until(lambda: get(outbound(client), "echo") == (200, blue.here.encode()))
        shown = plane.meshctl("check", "-o", "wide")
        for text in (shop.api.url, "v1.36", "list, watch", "served in v1", "1 object of discovery.k8s.io/v1, heard"):
            assert text in shown, shown
        assert "fail" not in shown.splitlines()[-1]

        # Objects that are not understood, or not wholly, are named with the reason.
        bad = build.service("bad")
        bad["spec"]["ports"] = [{"port": 99_999}]
        odd = build.http_route("odd", {**build.rule("blue"), "notThere": 1})
        shop.api.put(bad, odd)
        shop.until(lambda: shop.kind_metric("objects_refused", "Service") == 1)
        shop.until(lambda: any("notThere" in message for message in shop.checks("warn").values()))
        told = plane.meshctl("check", status=1)
        assert "Service shop/bad" in told
        assert "99999" in told
        assert "notThere" in told
        shop.api.delete(bad, odd)
        shop.until(lambda: not shop.checks("fail"))

        # An API server that is away.
        shop.api.kill()
        shop.until(lambda: len(shop.lines(": lost")) == len(KINDS))
        told = plane.meshctl("check", "-o", "wide", status=1)
        assert "cannot connect to" in told
        followed = {message for name, message in shop.checks("warn").items() if name.startswith("Objects: ")}
        assert len(followed) == len(KINDS), followed
        assert all(message.startswith("not followed at present") for message in followed)
        assert "1, of which 1 have what they should have" in told
        plane.meshctl("get", "services", "-n", "shop")
