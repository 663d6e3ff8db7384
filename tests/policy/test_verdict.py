from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.policy.message import field
from meshproxy.policy.route import RouteTable
from meshproxy.policy.verdict import Request, describe, judge
from meshproxy.wire import resources as wire

Kind = Any


def path(value: str, kind: Kind = "PathPrefix") -> wire.PathMatch:
    return wire.PathMatch(type=kind, value=value)


def string(name: str, value: str, kind: Kind = "Exact") -> wire.StringMatch:
    return wire.StringMatch(name=name, value=value, type=kind)


def request(target: str = "/x", method: str = "GET", **headers: str) -> Request:
    line, _, query = target.partition("?")
    fields = [field(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request(method.encode(), line.encode(), query.encode(), fields)


@pytest.mark.parametrize(
    ("match", "unmet"),
    [
        ({}, ""),
        ({"path": path("/x"), "method": "GET", "headers": [string("x-a", "1")]}, ""),
        ({"path": path("/y")}, "the path /x is not under /y"),
        ({"path": path("/X", "Exact")}, "the path /x is not exactly /X"),
        ({"path": path("/[0-9]", "RegularExpression")}, "the path /x is not like /[0-9]"),
        ({"method": "PUT"}, "the method is GET, not PUT"),
        ({"headers": [string("x-a", "2")]}, "header x-a = 2 is asked for, the request has 1"),
        ({"headers": [string("x-b", "2")]}, "header x-b = 2 is asked for, the request has none"),
        ({"headers": [string("x-a", "1"), string("x-b", ".*", "RegularExpression")]}, "header x-b like .* is asked"),
        ({"headers": [string("x-a", "1"), string("X-A", "2")]}, ""),
        ({"query_params": [string("q", "b c")]}, ""),
        ({"query_params": [string("q", "z")]}, "query parameter q = z is asked for, the request has b c"),
        ({"query_params": [string("r", "z")]}, "query parameter r = z is asked for, the request has none"),
        # The first condition that is not met is told, in the order path, method, headers, parameters.
        ({"path": path("/y"), "method": "PUT"}, "the path"),
        ({"method": "PUT", "headers": [string("x-b", "1")]}, "the method"),
        ({"headers": [string("x-b", "1"), string("x-c", "1")]}, "header x-b"),
        ({"headers": [string("x-b", "1")], "query_params": [string("q", "z")]}, "header x-b"),
    ],
)
def test_the_first_condition_that_is_not_met_is_told(match: dict[str, Any], unmet: str) -> None:
    told = judge(wire.RouteMatch(rule=3, **match), request("/x?q=b+c", x_a="1"))
    assert told.startswith(unmet)
    assert bool(told) == bool(unmet)


def test_a_path_is_told_in_the_form_that_is_matched() -> None:
    assert judge(wire.RouteMatch(rule=0, path=path("/x")), request("/x/%2e%2e/%7ea")) == "the path /~a is not under /x"


def test_a_match_is_described_by_what_it_asks_for() -> None:
    match = wire.RouteMatch(
        rule=0,
        path=path("/a", "Exact"),
        method="PUT",
        headers=[string("x-a", "1")],
        query_params=[string("q", "[0-9]+", "RegularExpression")],
    )
    assert describe(match) == "path exactly /a, method PUT, header x-a = 1, query parameter q like [0-9]+"
    assert describe(wire.RouteMatch(rule=0)) == "path under /"


values = st.sampled_from(["1", "2"])
matches = st.builds(
    wire.RouteMatch,
    rule=st.just(0),
    path=st.builds(
        path, st.sampled_from(["/", "/a", "/a/b", "/a/"]), st.sampled_from(["Exact", "PathPrefix", "RegularExpression"])
    ),
    method=st.sampled_from(["", "GET", "PUT"]),
    headers=st.lists(st.builds(string, st.sampled_from(["x", "y"]), values), max_size=2),
    query_params=st.lists(st.builds(string, st.just("q"), values), max_size=1),
)
requests = st.builds(
    request,
    st.sampled_from(["/", "/a", "/a/", "/a/b", "/a?q=1", "/a/b?q=2"]),
    st.sampled_from(["GET", "PUT"]),
    x=values,
)


@given(st.lists(matches, max_size=6), requests)
def test_the_winner_is_the_first_match_that_is_not_turned_away(
    given_matches: list[wire.RouteMatch], asked: Any
) -> None:
    table = RouteTable(wire.Routes(matches=given_matches, rules=[wire.Rule(name="r")]))
    winner = table.match(*asked)
    fitting = [order for order, match in enumerate(given_matches) if not judge(match, asked)]
    assert fitting[:1] == ([winner.order] if winner is not None else [])
