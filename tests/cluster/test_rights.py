"""All works with exactly the rights that deploy/rbac.yaml grants; one that is missing is told, and the rest goes on."""

from __future__ import annotations

from tests.cluster.rights import without
from tests.cluster.scene import Scene
from tests.control import build
from tests.fakes.cluster import outbound
from tests.fakes.mesh import ControlPlane, get


def test_a_right_that_is_taken_away_is_named_and_the_rest_goes_on(shop: Scene) -> None:
    account = shop.cluster.account("-watched")
    shop.serve("echo")
    plane = shop.control(account.kubeconfig(shop.mesh.directory / "kubeconfig"))
    client = shop.sidecar(plane)
    assert "Rights" in plane.meshctl("check")
    shop.until(lambda: get(outbound(client), "echo") == (200, b"echo"))

    account.allow(without(account.role, "httproutes"))
    shop.until(lambda: "may not list, watch" in told(plane, "httproutes"))
    assert told(plane, "services") == "list, watch"
    assert "httproutes" in plane.meshctl("check", status=1)
    shop.serve("another")
    shop.until(lambda: get(outbound(client), "another") == (200, b"another"))

    account.allow(account.role)
    shop.until(lambda: told(plane, "httproutes") == "list, watch")
    plane.meshctl("check")
    shop.kubectl.apply(build.http_route("echo", build.rule("another"), namespace=shop.namespace))
    shop.until(lambda: get(outbound(client), "echo") == (200, b"another"))


def test_without_a_right_it_is_not_ready_and_says_what_is_missing_until_it_is_granted(shop: Scene) -> None:
    account = shop.cluster.account("-started")
    account.allow(without(account.role, "pods"))
    shop.until(lambda: not shop.kubectl.may("list", "pods", account.user))
    shop.serve("echo")
    plane = shop.control(account.kubeconfig(shop.mesh.directory / "kubeconfig"), waits=False)
    # Of all kinds it is Pods alone that are missing.
    shop.until(lambda: "still to be listed: Pod (" in plane.ask("metrics", "/readyz")[1])
    assert plane.ask("metrics", "/readyz")[0] == 503
    assert "may not list, watch" in told(plane, "pods")
    plane.meshctl("check", status=1)
    account.allow(account.role)
    shop.until(lambda: plane.ask("metrics", "/readyz")[0] == 200, 60)
    client = shop.sidecar(plane)
    shop.until(lambda: get(outbound(client), "echo") == (200, b"echo"))
    plane.meshctl("check")


def told(plane: ControlPlane, resource: str) -> str:
    """What is said of the right to a resource."""
    found = plane.request("GET", "/apis/meshproxy.io/v1alpha1/check")["items"]
    (message,) = (item["message"] for item in found if item["section"] == "Rights" and item["name"] == resource)
    return str(message)
