"""Services without a selector: the endpoints are what somebody writes, and each change of them reaches the sidecar."""

from __future__ import annotations

from tests.cluster.scene import Scene
from tests.fakes.cluster import calling, outbound
from tests.fakes.mesh import get, states


def test_endpoints_that_come_and_go_are_followed_without_a_failed_request(shop: Scene) -> None:
    one, two = shop.application("one"), shop.application("two")
    shop.kubectl.apply(shop.service("echo"), shop.slice("echo", one))
    client = shop.sidecar(shop.control())
    with calling(client) as load:
        shop.until(lambda: load.bodies() == {"one"})
        shop.kubectl.apply(shop.slice("echo", two))
        shop.until(lambda: load.bodies() == {"one", "two"})
        for conditions in ({"ready": False, "serving": False}, {"ready": False, "terminating": True}):
            shop.kubectl.apply(shop.slice("echo", two, **conditions))
            shop.until(lambda: states(client)[two.place] != "ready")
            assert shop.answering(load) == {"one"}
            before = load.so_far()
            shop.kubectl.apply(shop.slice("echo", two))
            shop.until(lambda before=before: load.bodies(before) == {"one", "two"})
        shop.kubectl.delete(shop.slice("echo", one))
        shop.until(lambda: set(states(client)) == {two.place})
        one.stop()
        assert shop.answering(load) == {"two"}


def test_endpoints_that_serve_though_they_are_going_are_used_when_nothing_else_is(shop: Scene) -> None:
    one = shop.application("one")
    shop.kubectl.apply(shop.service("echo"), shop.slice("echo", one))
    client = shop.sidecar(shop.control())
    with calling(client) as load:
        shop.until(lambda: load.bodies() == {"one"})
        shop.kubectl.apply(shop.slice("echo", one, ready=False, terminating=True))
        shop.until(lambda: states(client)[one.place] != "ready")
        assert shop.answering(load) == {"one"}


def test_a_service_that_is_deleted_is_known_no_more(shop: Scene) -> None:
    shop.serve("echo")
    client = shop.sidecar(shop.control())
    shop.until(lambda: get(outbound(client), "echo") == (200, b"echo"))
    shop.kubectl.delete(shop.service("echo"))
    shop.until(lambda: get(outbound(client), "echo")[0] == 404)
    shop.kubectl.apply(shop.service("echo"))
    shop.until(lambda: get(outbound(client), "echo") == (200, b"echo"))
