"""What happens to a Deployment while it is called: restarts, scaling, unready pods, deletions. No request fails."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.cluster import calling, cluster
from tests.fakes.kubernetes.rollout import Pod
from tests.fakes.mesh import states


def test_a_rolling_restart_under_load_fails_no_request(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        echo = shop.deployment("echo", 4)
        shop.control()
        client = shop.sidecar()
        first = {pod.name for pod in echo.pods}
        with calling(client) as load:
            shop.until(lambda: load.bodies() == first)
            echo.rolling_restart()
            second = {pod.name for pod in echo.pods}
            shop.until(lambda: second <= load.bodies())
        assert not first & second
        shop.until(lambda: set(states(client)) == {f"{pod.host}:{pod.port}" for pod in echo.pods})


def test_pods_that_come_and_go_and_turn_unready_fail_no_request(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        echo = shop.deployment("echo", 1)
        shop.control()
        client = shop.sidecar()

        def places(*left_out: Pod) -> set[str]:
            return {f"{pod.host}:{pod.port}" for pod in echo.pods if pod not in left_out}

        def in_use() -> set[str]:
            return {place for place, state in states(client).items() if state == "ready"}

        with calling(client) as load:
            echo.scale(4)
            shop.until(lambda: load.bodies() == {pod.name for pod in echo.pods})
            chosen = echo.pods[1]
            echo.unready(chosen)
            shop.until(lambda: in_use() == places(chosen))
            before = load.so_far()
            shop.until(lambda: load.total > before.total() + 100)
            # What was under way when it became known may have ended since; nothing began.
            assert (load.so_far() - before)[200, chosen.name.encode()] <= 4
            before = load.so_far()
            echo.ready(chosen)
            shop.until(lambda: chosen.name in load.bodies(before))
            # Without grace: the Pod is gone first, then its endpoint, then the process.
            echo.delete_now(chosen)
            shop.until(lambda: set(states(client)) == places())
            echo.scale(1)
            shop.until(lambda: set(states(client)) == places())
            assert len(echo.pods) == 1
            before = load.so_far()
            shop.until(lambda: load.total > before.total() + 100)
            left = (load.so_far() - before)[200, echo.pods[0].name.encode()]
            assert left >= 100 - 4
