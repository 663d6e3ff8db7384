"""The CRD of HTTPRoute is not there, comes, and goes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from control.model.kinds import HTTP_ROUTE
from tests.cluster.cluster import IS_ALONE, Cluster
from tests.cluster.scene import Scene
from tests.control import build
from tests.fakes.cluster import calling, outbound
from tests.fakes.mesh import get

PERMISSION = "MESHPROXY_TEST_MAY_REMOVE_CRDS"
NOTICED_S = 40.0
"""It is looked for every 15 s."""


@contextlib.contextmanager
def removed(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """Without HTTPRoutes, unless that would take something away from somebody; afterwards all is as before.

    Gives the CRD as it was.
    """
    if not IS_ALONE:
        pytest.skip("takes HTTPRoutes away from the other tests: to be run without -n")
    if not cluster.is_own(HTTP_ROUTE) and os.environ.get(PERMISSION) != "1":
        pytest.skip(f"would remove the CRD of HTTPRoute, which was there before: {PERMISSION}=1 allows it")
    if strange := cluster.strangers(HTTP_ROUTE):
        pytest.skip(f"would remove the CRD of HTTPRoute, and with it {strange[0]}, which is no test's")
    document = cluster.remove(HTTP_ROUTE)
    try:
        yield document
    finally:
        if not cluster.has(HTTP_ROUTE):
            cluster.install(HTTP_ROUTE, document)


@pytest.mark.timeout(240)
def test_a_kind_that_is_not_installed_is_noticed_when_it_comes_and_when_it_goes(shop: Scene) -> None:
    shop.serve("echo")
    shop.serve("other")
    with removed(shop.cluster) as crd:
        plane = shop.control()
        assert any("the kind is not installed" in line for line in plane.log)
        shown = plane.meshctl("check")
        assert "not served in v1 or v1beta1" in shown
        client = shop.sidecar(plane)
        with calling(client) as load:
            shop.until(lambda: load.bodies() == {"echo"})
            shop.cluster.install(HTTP_ROUTE, crd)
            shop.until(lambda: any("the kind is installed now" in line for line in plane.log), NOTICED_S)
            shop.kubectl.apply(build.http_route("echo", build.rule("other"), namespace=shop.namespace))
            shop.until(lambda: shop.answering(load) == {"other"})
            assert "not served" not in plane.meshctl("check")
            shop.cluster.remove(HTTP_ROUTE)
            shop.until(lambda: shop.answering(load) == {"echo"}, NOTICED_S)
            shop.until(lambda: "not served in v1 or v1beta1" in plane.meshctl("check"), NOTICED_S)
        shop.serve("another")
        shop.until(lambda: get(outbound(client), "another") == (200, b"another"))
