"""Routes as they are written by kubectl: a canary, what another namespace grants, the caller's own, an ExternalName."""

from __future__ import annotations

from tests.cluster.scene import Scene
from tests.control import build
from tests.fakes.cluster import calling, outbound
from tests.fakes.mesh import get


def test_a_canary_is_shifted_without_a_failed_request(shop: Scene) -> None:
    def shift(old: int, new: int) -> None:
        weighted = [{"name": name, "port": 80, "weight": weight} for name, weight in (("v1", old), ("v2", new))]
        shop.kubectl.apply(build.http_route("echo", build.rule(*weighted), namespace=shop.namespace))

    shop.kubectl.apply(shop.service("echo"))
    shop.serve("v1")
    shop.serve("v2")
    shift(90, 10)
    client = shop.sidecar(shop.control())
    with calling(client) as load:
        shop.until(lambda: load.total > 1000)
        share = load.so_far()[200, b"v2"] / load.total
        assert 0.04 < share < 0.18, share
        shift(0, 100)
        shop.until(lambda: shop.answering(load) == {"v2"})
        shift(100, 0)
        shop.until(lambda: shop.answering(load) == {"v1"})


def test_a_backend_of_another_namespace_takes_a_grant(shop: Scene) -> None:
    bank = shop.cluster.namespace()
    shop.kubectl.apply(shop.service("echo"))
    shop.serve("vault", bank)
    to_bank = build.rule({"name": "vault", "namespace": bank, "port": 80})
    shop.kubectl.apply(build.http_route("echo", to_bank, namespace=shop.namespace))
    plane = shop.control()
    client = shop.sidecar(plane)
    shop.until(lambda: get(outbound(client), "echo")[0] == 500)
    assert "RefNotPermitted" in plane.meshctl("check")
    grant = build.grant("from-shop", shop.namespace, "vault", namespace=bank)
    shop.kubectl.apply(grant)
    shop.until(lambda: get(outbound(client), "echo") == (200, b"vault"))
    assert "RefNotPermitted" not in plane.meshctl("check")
    shop.kubectl.delete(grant)
    shop.until(lambda: get(outbound(client), "echo")[0] == 500)


def test_a_consumer_route_holds_for_callers_of_its_namespace_alone(shop: Scene) -> None:
    park = shop.cluster.namespace()
    shop.serve("echo")
    shop.serve("mine", park)
    plane = shop.control()
    near, far = shop.sidecar(plane), shop.sidecar(plane, park)
    host = f"echo.{shop.namespace}"
    shop.until(lambda: get(outbound(near), host) == get(outbound(far), host) == (200, b"echo"))
    to_shop = build.parent("echo", namespace=shop.namespace)
    route = build.http_route("mine", build.rule("mine"), parents=[to_shop], namespace=park)
    shop.kubectl.apply(route)
    shop.until(lambda: get(outbound(far), host) == (200, b"mine"))
    assert get(outbound(near), host) == (200, b"echo")
    shop.kubectl.delete(route)
    shop.until(lambda: get(outbound(far), host) == (200, b"echo"))


def test_an_external_name_is_refused_as_a_backend(shop: Scene) -> None:
    shop.serve("echo")
    away = {"type": "ExternalName", "externalName": "example.com"}
    shop.kubectl.apply(build.document("v1", "Service", "away", shop.namespace, spec=away))
    plane = shop.control()
    client = shop.sidecar(plane)
    shop.until(lambda: get(outbound(client), "echo") == (200, b"echo"))
    shop.kubectl.apply(build.http_route("echo", build.rule("away"), namespace=shop.namespace))
    shop.until(lambda: get(outbound(client), "echo")[0] == 500)
    assert f"Service {shop.namespace}/away is of type ExternalName" in plane.meshctl("check")
