"""The API server is restarted: sidecars serve meanwhile, nothing changes for them, and it goes on afterwards."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.cluster.cluster import IS_ALONE
from tests.cluster.scene import Scene
from tests.fakes.cluster import KINDS, calling, versions
from tests.fakes.mesh import ControlPlane

COMMAND = "MESHPROXY_TEST_APISERVER_RESTART"
"""Ends the API server, waits for a while, and starts it again: a line for a shell, that ends when it answers."""
LIMIT_S = 200.0


@pytest.mark.timeout(300)
@pytest.mark.skipif(not os.environ.get(COMMAND), reason=f"restarts the API server, by a command that {COMMAND} names")
@pytest.mark.skipif(not IS_ALONE, reason="takes the API server away from the other tests: to be run without -n")
def test_an_api_server_that_is_restarted_is_nobodys_loss(shop: Scene) -> None:
    one, two = shop.application("one"), shop.application("two")
    shop.kubectl.apply(shop.service("echo"), shop.slice("echo", one))
    plane = shop.control()
    client = shop.sidecar(plane)
    with calling(client) as load:
        shop.until(lambda: load.bodies() == {"one"})
        before, pushes = versions(client), plane.metric("meshcontrol_pushes_total")
        with subprocess.Popen(os.environ[COMMAND], shell=True, start_new_session=True) as restart:
            # Nothing else would show that the API server was away.
            shop.until(lambda: len(kinds_that_are(plane, ": lost;")) == len(KINDS), LIMIT_S)
            assert shop.answering(load) == {"one"}
            assert versions(client) == before
            assert plane.ask("metrics", "/readyz")[0] == 200
            assert restart.wait(LIMIT_S) == 0
        shop.until(lambda: len(kinds_that_are(plane, ": back after ")) == len(KINDS), LIMIT_S)
        assert (versions(client), plane.metric("meshcontrol_pushes_total")) == (before, pushes)
        shop.kubectl.apply(shop.slice("echo", two))
        shop.until(lambda: shop.answering(load) == {"one", "two"})
    plane.meshctl("check")


def kinds_that_are(plane: ControlPlane, words: str) -> set[str]:
    """Of which kinds the log says something."""
    return {line.partition(words)[0].rpartition(" ")[2] for line in plane.log if words in line}
