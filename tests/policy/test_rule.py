from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.policy.route import RouteTable
from meshproxy.policy.rule import Rule
from meshproxy.wire import resources as wire


def backends(*weights: int) -> list[wire.RouteBackend]:
    return [wire.RouteBackend(backend=f"demo/b{i}:80", weight=weight) for i, weight in enumerate(weights)]


def rule(**kwargs: Any) -> Rule:
    return Rule(wire.Rule(name="demo/route/0", **kwargs))


@given(st.lists(st.integers(0, 5), max_size=6), st.floats(0, 1, exclude_max=True))
def test_a_backend_is_picked_by_weight_and_never_one_without(weights: list[int], value: float) -> None:
    subject = rule(backends=backends(*weights))
    picked = subject.pick_backend(lambda: value)
    if not sum(weights):
        assert picked is None
    else:
        assert picked is not None
        assert picked.weight > 0
        before = sum(weights[: subject.backends.index(picked)])
        assert before <= value * sum(weights) < before + picked.weight


def test_shares_follow_the_weights() -> None:
    subject = rule(backends=backends(1, 0, 9))
    rng = Random(1)
    counts = Counter(
        subject.backends.index(subject.pick_backend(rng.random) or subject.backends[1]) for _ in range(5000)
    )
    assert set(counts) == {0, 2}
    assert counts[0] == pytest.approx(500, rel=0.2)


@pytest.mark.parametrize(("weights", "single"), [((1,), 0), ((0, 3), 1), ((1, 1), None), ((0,), None), ((), None)])
def test_a_single_backend_is_told(weights: tuple[int, ...], single: int | None) -> None:
    subject = rule(backends=backends(*weights))
    assert subject.single is (subject.backends[single] if single is not None else None)


def test_an_unusable_backend_keeps_its_share_and_says_why() -> None:
    subject = rule(backends=[wire.RouteBackend(backend="demo/gone:80", fault="backend_missing")])
    assert subject.single is not None
    assert subject.single.fault == "backend_missing"


EDIT = wire.RequestHeaderModifier(set=[("x-a", "1")])


@pytest.mark.parametrize(
    ("kwargs", "plain"),
    [
        ({}, True),
        ({"backends": backends(1, 2)}, True),
        ({"filters": [EDIT]}, False),
        ({"filters": [wire.ResponseHeaderModifier(remove=["x"])]}, False),
        ({"filters": [wire.RequestRedirect(hostname="x")]}, False),
        ({"filters": [wire.URLRewrite(hostname="x")]}, False),
        ({"filters": [wire.RequestHeaderModifier()]}, True),
    ],
)
def test_what_has_no_filter_is_plain(kwargs: dict[str, Any], plain: bool) -> None:
    assert rule(**kwargs).is_plain == plain


def test_each_filter_finds_its_place() -> None:
    subject = rule(
        filters=[EDIT, wire.ResponseHeaderModifier(remove=["x"]), wire.URLRewrite(hostname="other")],
        timeouts=wire.Timeouts(request_s=5, backend_request_s=1),
        retry=wire.Retry(codes=[503], attempts=2),
        backends=[wire.RouteBackend(backend="demo/b:80", filters=[EDIT, wire.RequestRedirect(hostname="x")])],
    )
    assert subject.request_edit is not None
    assert subject.response_edit is not None
    assert subject.rewrite is not None
    assert subject.redirect is None
    assert (subject.request_s, subject.backend_request_s) == (5, 1)
    assert subject.retry is not None
    assert subject.retry.codes == {503}
    (backend,) = subject.backends
    assert backend.request_edit is not None
    assert backend.redirect is not None
    assert not backend.is_plain


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ([wire.RequestHeaderModifier(set=[("Content-Length", "0")])], "Content-Length cannot be modified"),
        ([wire.URLRewrite(), wire.RequestRedirect()], "only one redirect or rewrite"),
        ([wire.RequestRedirect(status_code=200)], "status code 200"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_the_rules_name(filters: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"rule demo/route/0: .*{message}"):
        rule(filters=filters)
    with pytest.raises(ValueError, match=f"rule demo/route/0: .*{message}"):
        rule(backends=[wire.RouteBackend(backend="demo/b:80", filters=filters)])


@pytest.mark.parametrize("on_backend", [False, True])
def test_replacing_a_prefix_needs_matches_by_prefix(on_backend: bool) -> None:
    filters: list[Any] = [wire.URLRewrite(path=wire.ReplacePrefixMatch(value="/new"))]
    parts: dict[str, Any] = (
        {"backends": [wire.RouteBackend(backend="demo/b:80", filters=filters)]} if on_backend else {"filters": filters}
    )
    routes = wire.Routes(
        matches=[wire.RouteMatch(rule=0, path=wire.PathMatch(type="Exact", value="/old"))],
        rules=[wire.Rule(name="demo/route/0", **parts)],
    )
    with pytest.raises(ValueError, match=r"rule demo/route/0: match 0 .*ReplacePrefixMatch needs"):
        RouteTable(routes)
