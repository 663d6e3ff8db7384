"""A connection that stays and says nothing any more: it is noticed, and what was missed meanwhile arrives."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.cluster import KINDS, SILENCE, cluster


def test_a_watch_that_falls_silent_is_noticed_and_loses_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        with blue.called(SILENCE) as (client, load):
            known = blue.unchanged(load, client)
            shop.api.silence("endpointslices")
            blue.move()
            shop.until(lambda: shop.kind_metric("failures_total", "EndpointSlice", reason="silence") == 1)
            blue.until_known(load)
        assert shop.kind_metric("lists_total", "EndpointSlice", reason="doubt") == 1
        assert len(shop.lines("endpointslices.*: lost.*nothing came for")) == 1
        # Bookmarks are a sign of life: the others, of which nothing changed either, were never in doubt.
        assert shop.kind_metric("lists_total") == len(KINDS) + 1
        assert shop.kind_metric("failures_total") == 1
        # What was missed, and nothing beside it.
        assert shop.settled(client)[0] == known.pushes + 1


def test_an_api_server_in_a_black_hole_changes_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        with blue.called({**SILENCE, "control.kube.client.CONNECT_S": 0.5}) as (client, load):
            known = blue.unchanged(load, client)
            shop.api.go_deaf()
            blue.move()
            shop.until(lambda: len(shop.lines(": lost.*nothing came for")) == len(KINDS))
            known.check()
            shop.api.start()
            blue.until_known(load)
            shop.until(lambda: len(shop.lines(": back after")) == len(KINDS))
