"""What a watch would go on from is gone: everything is listed anew, and only what differs is a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.control import build
from tests.fakes.cluster import KINDS, SILENCE, Cluster, cluster
from tests.fakes.kubernetes.encode import error_line
from tests.fakes.kubernetes.failure import status, too_old
from tests.fakes.kubernetes.faults import garbage, refusal
from tests.fakes.kubernetes.manifests import namespace


def compacted(shop: Cluster) -> None:
    """As it really comes: HTTP 200, and an ERROR event."""
    shop.api.silence()
    shop.api.put(namespace(f"compacted-{shop.api.version}"))
    shop.api.compact()
    shop.api.cut()


def in_http(shop: Cluster) -> None:
    for kind in KINDS:
        shop.api.fail(refusal(410, "Expired", "too old resource version: 1 (2)"), kind, "watch", times=1)
    shop.api.cut()


def in_the_middle(shop: Cluster) -> None:
    """Of a watch that has gone well until then."""
    shop.api.inject(error_line(too_old(1, 2)))


def by_an_older_word(shop: Cluster) -> None:
    shop.api.inject(error_line(status(410, "Gone", "The event in requested index is outdated and cleared")))


def in_the_list_too(shop: Cluster) -> None:
    """A server without WatchList, whose `continue` has expired."""
    shop.api.behave(watch_list="refused")
    for kind in KINDS:
        shop.api.fail(refusal(410, "Expired", "The provided continue parameter is too old"), kind, "list", times=1)
    compacted(shop)


def in_the_streamed_list(shop: Cluster) -> None:
    for kind in KINDS:
        shop.api.fail(garbage(error_line(too_old(1, 2))), kind, "watch", times=2)
    shop.api.cut()


FORMS = (compacted, in_http, in_the_middle, by_an_older_word, in_the_streamed_list, in_the_list_too)


def test_410_in_whatever_form_makes_nothing_flap(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        with blue.called() as (client, load):
            shop.rest()
            for form in FORMS:
                known = blue.unchanged(load, client)
                with shop.grows("lists_total"):
                    form(shop)
                shop.rest()
                known.check()
                blue.move()
                blue.until_known(load)
        assert not shop.lines(": still lost")


@pytest.mark.parametrize("undoes", [False, True], ids=["of the same", "of an earlier state"])
def test_a_cluster_restored_from_a_backup_makes_nothing_flap(tmp_path: Path, undoes: bool) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        with blue.called(SILENCE) as (client, load):
            backup = shop.api.backup()
            # resourceVersions run ahead by what nobody calls.
            for number in range(50):
                shop.api.put(build.service(f"later-{number}", namespace="other"))
            if undoes:
                blue.move()
                blue.until_known(load)
            # Every kind has heard of these versions, if only by a bookmark.
            with shop.grows("events_total", type="BOOKMARK"):
                shop.api.put(build.service("the-last", namespace="other"))
            known = blue.unchanged(load, client)
            version = shop.api.version
            shop.api.restore(backup)
            assert shop.api.version < version
            if undoes:
                blue.back()
                blue.until_known(load)
                assert shop.settled(client)[0] == known.pushes + 1
            shop.until(lambda: shop.kind_metric("lists_total", reason="doubt") >= len(KINDS))
            # What was made after the backup is gone again.
            shop.until(lambda: shop.plane.metric(r'meshcontrol_objects\{kind="Service"') == 2)
            if not undoes:
                known.check()
            # Versions that are lower than those before are news all the same.
            blue.move()
            blue.until_known(load)
