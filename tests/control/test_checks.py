"""What is told of routes, of what is compiled, and of sidecars."""

import asyncio

import msgspec

from control.checks import MAX_TOLD, PATIENCE_S, resources, routes, sidecars
from control.index.index import Index
from control.model.decode import decode
from control.push.proxies import ProxyRow
from meshproxy.kit.aio.slices import in_slices
from meshproxy.wire.problem import Problem
from tests.control.build import http_route, rule, service


def row(name="front-1", **fields):
    told = {
        "namespace": "shop", "name": name, "service_account": "front", "version": "0.1.0", "address": "127.0.0.1:4000",
        "connected_at": "", "subscribed": 1, "synced": True, "unacknowledged": 0, "stale_for_s": 0.0, "last_ack_at": "",
        "last_nack": [], "waiting": [], "oldest_unacknowledged_s": 0.0,
    }  # fmt: skip
    return ProxyRow(**told | fields)


def index_of(*documents):
    index = Index()
    for document in documents:
        index.apply(decode(document))
    return index


def told_of_routes(index):
    return asyncio.run(in_slices(routes(index)))


def states(checks):
    return [(check.name, check.state) for check in checks]


def test_sidecars_that_are_well_are_only_counted():
    assert [msgspec.structs.astuple(check)[1:4] for check in sidecars([])] == [("connected", "ok", "none")]
    (check,) = sidecars([row(), row("front-2"), row("front-3", synced=False, stale_for_s=PATIENCE_S - 1)])
    assert (check.state, check.message) == ("ok", "3, of which 3 have what they should have")


def test_a_sidecar_that_stays_behind_is_a_warning_and_one_that_refuses_fails():
    problems = [Problem("routes/shop/echo:80", "rules", "bad"), Problem("x", "", "worse")]
    count, refusing, behind = sidecars(
        [row("a"), row("b", synced=False, stale_for_s=90, unacknowledged=2), row("c", last_nack=problems)]
    )
    assert count.message == "3, of which 1 have what they should have"
    assert (behind.name, behind.state, behind.message) == (
        "shop/b",
        "warn",
        "behind for 90s; 2 pushes are not acknowledged",
    )
    assert (refusing.name, refusing.state) == ("shop/c", "fail")
    assert "routes/shop/echo:80: rules: bad (and 1 more)" in refusing.message
    assert behind.hint == refusing.hint != ""


def test_of_many_sidecars_that_are_not_well_those_that_refuse_come_first_and_the_rest_is_counted():
    rows = [row(f"f{i}", synced=False, stale_for_s=60) for i in range(200)]
    found = sidecars([*rows, row("bad", last_nack=[Problem("x", "", "bad")])])
    assert len(found) == 1 + MAX_TOLD + 1
    assert states(found[1:2]) == [("shop/bad", "fail")]
    assert (found[-1].state, found[-1].message) == ("warn", "101 that are not told here")


def test_what_could_not_be_compiled_is_named():
    assert (resources(7, set()).state, resources(7, set()).message) == ("ok", "7 resources")
    found = resources(7, {f"routes/shop/{letter}:80" for letter in "abcdefghijkl"})
    assert found.state == "fail"
    assert "routes/shop/a:80, " in found.message
    assert found.message.endswith("routes/shop/j:80 and 2 more")


def test_routes_that_are_not_what_they_were_written_to_be_are_told():
    index = index_of(
        service("echo"),
        http_route("fine", rule("echo"), parents=["echo"]),
        http_route("lost", rule("gone"), parents=["echo"]),
        http_route("alone", rule("echo"), parents=["nobody"]),
    )
    whole, alone, lost = told_of_routes(index)
    assert (whole.state, whole.message) == ("ok", "1 of 3 are in effect as written")
    assert (alone.name, alone.state) == ("HTTPRoute shop/alone", "warn")
    assert alone.message.startswith("NoMatchingParent: Service shop/nobody does not exist")
    assert lost.message.startswith("BackendNotFound: ")


def test_routes_that_are_all_well_are_only_counted():
    assert states(told_of_routes(index_of())) == [("routes", "ok")]
    index = index_of(service("echo"), http_route("fine", rule("echo"), parents=["echo"]))
    assert states(told_of_routes(index)) == [("routes", "ok")]


def test_a_route_that_goes_meanwhile_harms_nothing():
    index = index_of(service("echo"), *(http_route(name, rule("gone"), parents=["echo"]) for name in "abc"))
    steps = routes(index)
    next(steps)
    for key in list(index.routes):
        index.delete(type(index.routes[key]), key)
    assert len(asyncio.run(in_slices(steps))) == 4
