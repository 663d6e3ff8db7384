"""What `kubectl rollout restart` and `kubectl scale` do to a Deployment that is called: no request fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from tests.cluster.pods import IMAGE, PORT, Player, deployment
from tests.cluster.scene import Scene
from tests.fakes.cluster import Calls, calling
from tests.fakes.mesh import states
from tests.fakes.process import Sidecar

CALLERS = 4
ROLLOUT_S = 90.0


class Deployed:
    """The Deployment `echo`, a sidecar that calls it, and the names of its Pods by their places."""

    def __init__(self, shop: Scene, replicas: int) -> None:
        self._shop = shop
        played = shop.cluster.plays_nodes
        shop.kubectl.apply(*deployment("echo", shop.namespace, replicas, played=played))

    def change(self, *words: str) -> None:
        self._shop.kubectl.run(*words, "-n", self._shop.namespace)

    def pods(self) -> dict[str, str]:
        """Those that stay: name by place. Without an address yet: by nothing."""
        found = self._shop.kubectl.items("pods", "-n", self._shop.namespace)
        return {
            f"{pod['status'].get('podIP', '')}:{PORT}": pod["metadata"]["name"]
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }


@contextlib.contextmanager
def deployed(shop: Scene, replicas: int) -> Iterator[Deployed]:
    with contextlib.ExitStack() as stack:
        if shop.cluster.plays_nodes:
            stack.callback(Player(shop.kubectl, shop.namespace).close)
        elif not os.environ.get(IMAGE):
            pytest.skip(f"the nodes are real ones: {IMAGE} has to name an image with Python 3.11 that they can run")
        yield Deployed(shop, replicas)


def in_use(client: Sidecar) -> set[str]:
    return {place for place, state in states(client).items() if state == "ready"}


def test_a_rolling_restart_under_load_fails_no_request(shop: Scene) -> None:
    with deployed(shop, 3) as echo:
        client = shop.sidecar(shop.control())
        shop.until(lambda: len(in_use(client)) == 3 and in_use(client) == set(echo.pods()), ROLLOUT_S)
        old = echo.pods()
        with calling(client, callers=CALLERS) as load:
            shop.until(lambda: load.bodies() == set(old.values()))
            echo.change("rollout", "restart", "deployment/echo")
            left = leaving(shop, client, load, old)
            new = echo.pods()
            assert len(new) == 3
            assert not set(new) & set(old)
            assert not set(new.values()) & set(old.values())
            shop.until(lambda: shop.answering(load) == set(new.values()))
        # From the moment on at which the sidecar knew that a Pod was going, it got what was under way and no more.
        extra = {name: load.outcomes[200, name.encode()] - count for name, count in left.items()}
        assert all(count <= CALLERS for count in extra.values()), extra


def leaving(shop: Scene, client: Sidecar, load: Calls, old: dict[str, str]) -> dict[str, int]:
    """Wait until all Pods of a set have left; returns how many requests each had got when it was used no more."""
    left: dict[str, int] = {}

    def is_over() -> bool:
        used = in_use(client)
        for place, name in old.items():
            if place not in used and name not in left:
                left[name] = load.so_far()[200, name.encode()]
        return len(left) == len(old) and len(used) == len(old) and not states(client).keys() & old.keys()

    shop.until(is_over, ROLLOUT_S)
    return left


def test_a_deployment_that_is_scaled_up_and_down_fails_no_request(shop: Scene) -> None:
    with deployed(shop, 1) as echo:
        client = shop.sidecar(shop.control())
        shop.until(lambda: in_use(client), ROLLOUT_S)
        with calling(client, callers=CALLERS) as load:
            for replicas in (4, 1):
                echo.change("scale", "deployment/echo", f"--replicas={replicas}")
                shop.until(lambda replicas=replicas: len(states(client)) == len(in_use(client)) == replicas, ROLLOUT_S)
                assert in_use(client) == set(echo.pods())
                shop.until(lambda: shop.answering(load) == set(echo.pods().values()))
