"""The API server is away: nothing changes for the sidecars, and it is told; what happened meanwhile arrives after."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.cluster import KINDS, calling, cluster, slice_of, versions
from tests.fakes.mesh import get


def test_an_api_server_that_is_killed_and_comes_back_is_nobodys_loss(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        first, second = shop.serve("first"), shop.serve("second")
        shop.serve("echo")
        shop.api.put(slice_of("echo", first))
        shop.control()
        client = shop.sidecar()
        with calling(client) as load:
            shop.until(lambda: load.bodies() == {"first"})
            before = shop.settled(client)
            shop.api.kill()
            shop.until(lambda: len(shop.lines(": lost; what is known stays in effect")) == len(KINDS))
            failures = shop.kind_metric("failures_total")
            assert failures >= len(KINDS)
            age_s = shop.kind_metric("watch_age_seconds", "Pod")
            at = load.total
            shop.until(lambda: load.total > at + 100)
            assert shop.settled(client) == before
            # Nobody hears of it yet.
            shop.api.put(slice_of("echo", second))
            shop.until(lambda: shop.kind_metric("failures_total") >= failures + len(KINDS))
            assert shop.kind_metric("watch_age_seconds", "Pod") > age_s
            assert shop.kind_metric("listed") == len(KINDS)
            assert shop.plane.ask("metrics", "/readyz")[0] == 200
            assert shop.settled(client) == before
            assert load.bodies() == {"first"}
            shop.api.start()
            shop.until(lambda: "second" in load.bodies())
            shop.until(lambda: len(shop.lines(": back after")) == len(KINDS))
        # One line a kind that it is lost, one that it is back; nothing of the attempts between them.
        for kind in KINDS:
            told = [line.split(": ")[2].split()[0] for line in shop.lines(f"reflector: {kind}")]
            assert told == ["lost;", "back"], told
        # Of all that was listed anew, one slice is another one.
        changed = {name for name, version in versions(client).items() if before[1][name] != version}
        assert changed == {"endpoints/shop/echo:80"}


def test_a_control_plane_without_an_api_server_is_not_ready_and_a_sidecar_serves_what_it_knew(tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path / "state"))
    with cluster(tmp_path) as shop:
        shop.serve("echo")
        plane = shop.control()
        first = shop.sidecar(*state)
        shop.until(lambda: get(first.addresses["outbound"], "echo") == (200, b"echo"))
        kept = tmp_path / "state" / "last-known-good.json"
        shop.until(lambda: kept.exists() and b"endpoints/shop/echo:80" in kept.read_bytes())
        first.stop()
        plane.kill()
        shop.api.kill()

        # Both are started in the outage.
        plane.start(waits=False)
        shop.until(lambda: len(shop.lines(": cannot be listed yet")) == len(KINDS))
        for name in ("metrics", "push"):
            status, why = plane.ask(name, "/readyz" if name == "metrics" else "/mesh/v1alpha1/stream")
            assert status == 503, why
            assert all(kind in why for kind in ("Service", "Pod", "EndpointSlice", "HTTPRoute")), why
            assert "cannot connect to" in why
        second = shop.sidecar(*state)
        assert second.has_logged("the last known good is in effect")
        with calling(second) as load:
            shop.until(lambda: load.total > 100)
            changed = shop.serve("changed")
            shop.api.put(slice_of("echo", changed))
            shop.api.start()
            shop.until(lambda: "changed" in load.bodies())
        assert plane.ask("metrics", "/readyz")[0] == 200
        assert shop.lines("all kinds are listed")


def test_a_control_plane_that_is_restarted_in_an_outage_of_the_api_server_takes_nothing_away(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        first, second = shop.serve("first"), shop.serve("second")
        shop.serve("echo")
        shop.api.put(slice_of("echo", first))
        plane = shop.control()
        client = shop.sidecar()
        with calling(client) as load:
            shop.until(lambda: load.bodies() == {"first"})
            before = versions(client)
            shop.api.kill()
            shop.until(lambda: len(shop.lines(": lost")) == len(KINDS))
            plane.stop()
            plane.start(waits=False)
            # The sidecar has asked the new one, in vain.
            shop.until(lambda: client.metric(r'meshproxy_stream_connects_total\{outcome="failed"\}'))
            at = load.total
            shop.until(lambda: load.total > at + 100)
            assert versions(client) == before
            assert load.bodies() == {"first"}
            shop.api.put(slice_of("echo", second))
            shop.api.start()
            shop.until(lambda: "second" in load.bodies())
        changed = {name for name, version in versions(client).items() if before[name] != version}
        assert changed == {"endpoints/shop/echo:80"}
