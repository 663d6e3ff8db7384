"""A kind whose CRD is not installed is waited for, noticed when it comes, and given up when it goes."""

from __future__ import annotations

from pathlib import Path

from tests.control import build
from tests.fakes.cluster import calling, cluster


def test_a_crd_that_comes_and_goes_and_comes_again_is_noticed(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        shop.serve("echo")
        shop.serve("other")
        for plural in ("httproutes", "referencegrants"):
            shop.api.uninstall(plural)
        shop.control()
        assert len(shop.lines("the kind is not installed")) == 2
        assert {"Gateway API: HTTPRoute", "Gateway API: ReferenceGrant"} <= set(shop.checks("warn"))
        client = shop.sidecar()
        route = build.http_route("echo", build.rule("other"))

        def answers() -> set[str]:
            before = load.so_far()
            shop.until(lambda: load.total >= before.total() + 20)
            return load.bodies(before)

        with calling(client) as load:
            shop.until(lambda: load.bodies() == {"echo"})
            for number in range(1, 3):
                # The first time in both versions, the second time in the older one alone.
                shop.api.install("httproutes", *(["v1beta1"] if number == 2 else []))
                shop.until(lambda number=number: len(shop.lines("httproutes.*the kind is installed now")) == number)
                shop.api.put(route)
                shop.until(lambda: answers() == {"other"})
                shop.api.uninstall("httproutes")
                shop.until(lambda: answers() == {"echo"})
                lines = 2 + number
                shop.until(lambda lines=lines: len(shop.lines("the kind is not installed", "are given up")) == lines)
        # A kind that is not there is no failure.
        assert not shop.lines(": lost", "cannot be listed")
        assert shop.kind_metric("listed") == 7


def test_routes_of_a_kind_that_discovery_lacks_for_a_moment_stay_in_effect(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        with blue.called() as (client, load):
            known = blue.unchanged(load, client)
            # As behind a load balancer that asks a server which has not read its CRDs yet.
            crd = shop.api.in_loop(
                lambda server: next(item for item in server.resources if item.plural == "httproutes")
            )
            shop.api.in_loop(lambda server: server.resources.remove(crd))
            shop.api.cut("httproutes")
            shop.until(lambda: shop.lines("httproutes.*: lost.*does not serve this kind any more"))
            known.check()
            blue.move()
            blue.until_known(load)
            shop.api.in_loop(lambda server: server.resources.append(crd))
            shop.until(lambda: shop.lines("httproutes.*: back"))
            known = blue.unchanged(load, client)
            known.check()
