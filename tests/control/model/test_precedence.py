import random

import pytest

from control.model.decode import decode
from control.model.precedence import rank
from tests.control.build import http_route, path, rule

EXACT = [path("/a", "Exact")]
IN_ORDER = [
    path("/a/b", "Exact"),
    path("/a/bcd.*", "RegularExpression"),
    path("/a.*", "RegularExpression"),
    {**path("/a/b"), "method": "GET"},
    path("/a/b"),
    {**path("/a"), "method": "GET", "headers": [{"name": "x", "value": "1"}]},
    {**path("/a"), "method": "GET"},
    {**path("/a"), "headers": [{"name": name, "value": "1"} for name in "xy"]},
    {**path("/a"), "headers": [{"name": "x", "value": "1"}], "queryParams": [{"name": "q", "value": "1"}]},
    {**path("/a"), "headers": [{"name": "x", "value": "1"}]},
    {**path("/a"), "queryParams": [{"name": name, "value": "1"} for name in "qr"]},
    {**path("/a"), "queryParams": [{"name": "q", "value": "1"}]},
    path("/a"),
    path("/"),
]


def ranks(*routes):
    decoded = [decode(route) for route in routes]
    return [
        (rank(route, i, j), (route.metadata.name, i, j))
        for route in decoded
        for i, each in enumerate(route.spec.rules)
        for j in range(len(each.conditions))
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_more_specific_match_comes_first(seed):
    shuffled = random.Random(seed).sample(IN_ORDER, len(IN_ORDER))
    route = http_route("a", *(rule("a", matches=[match]) for match in shuffled))
    assert [shuffled[place[1]] for _, place in sorted(ranks(route))] == IN_ORDER


def test_ties_go_to_the_older_route_then_to_the_name_then_to_the_order_within():
    young = http_route("a", rule("a", matches=EXACT), created="2026-01-02T00:00:00Z")
    old = http_route("z", rule("a", matches=EXACT), created="2026-01-01T00:00:00Z")
    first = http_route("b", rule("a", matches=EXACT), rule("a", matches=EXACT * 2))
    second = http_route("c", rule("a", matches=EXACT))
    assert [place for _, place in sorted(ranks(second, first, young, old))] == [
        ("z", 0, 0), ("a", 0, 0), ("b", 0, 0), ("b", 1, 0), ("b", 1, 1), ("c", 0, 0),
    ]  # fmt: skip


def test_a_trailing_slash_makes_a_prefix_no_longer():
    slash = http_route("b", rule("a", matches=[path("/a/")]))
    plain = http_route("a", rule("a", matches=[path("/a")]))
    assert [place[0] for _, place in sorted(ranks(slash, plain))] == ["a", "b"]


def test_a_rule_without_matches_is_one_match_of_everything():
    (found,) = ranks(http_route("a", {"backendRefs": [{"name": "a", "port": 80}], "matches": []}))
    assert found[1] == ("a", 0, 0)
