from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.canary import BACKEND, RULE, Canary, Share, asked
from deploy.demo.metrics import Lane, LaneKey
from meshproxy.wire.resources import RouteBackend, Routes, Rule
from meshproxy.wire.snapshot import dump, entry_of

V1 = "shop/reviews-v1:80"


def page(*weights: tuple[str, int], rule: str = RULE) -> str:
    """What a sidecar's /config says."""
    backends = [RouteBackend(backend=backend, weight=weight) for backend, weight in weights]
    other = Rule(name="shop/reviews/testers", backends=[RouteBackend(backend=BACKEND)])
    routes = Routes(rules=[other, Rule(name=rule, backends=backends)])
    return dump([entry_of("routes/shop/reviews:80", routes)]).decode()


def lanes(v1: int, v2: int) -> dict[LaneKey, Lane]:
    counts = {V1: v1, BACKEND: v2}
    found = {LaneKey("outbound", "shop/reviews:80", RULE, name): Lane({"200": n}) for name, n in counts.items()}
    found[LaneKey("outbound", "shop/reviews:80", "shop/reviews/testers", BACKEND)] = Lane({"200": 1000})
    return found


def test_what_is_asked_is_read_from_the_configuration_in_use() -> None:
    assert asked(page((V1, 90), (BACKEND, 10))) == 0.1
    assert asked(page((V1, 1), (BACKEND, 1))) == 0.5
    assert asked(page((V1, 1))) == 0
    assert asked(page((BACKEND, 0))) is None
    assert asked(page((V1, 1), rule="shop/reviews/others")) is None
    assert asked("") is None


def test_counting_begins_one_look_after_other_weights_are_seen() -> None:
    canary = Canary()
    canary.take(0.1, lanes(100, 0))
    canary.take(0.1, lanes(120, 1))
    assert canary.share == Share(0.1, 0, 0)
    assert canary.share.measured is None
    canary.take(0.1, lanes(129, 2))
    assert canary.share == Share(0.1, 1, 10)
    canary.take(0.5, lanes(200, 10))
    assert canary.share == Share(0.5, 0, 0)


def test_testers_do_not_count() -> None:
    canary = Canary()
    for v1 in (0, 0, 50):
        canary.take(0.0, lanes(v1, 0))
    assert str(canary.share) == "v2 asked 0 %, measured 0 % of 50 calls"


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 1.0, None]), st.integers(0, 9), st.integers(0, 9))))
def test_the_measured_part_is_one_of_all(steps: list[tuple[float | None, int, int]]) -> None:
    canary, v1, v2 = Canary(), 0, 0
    for weight, more_v1, more_v2 in steps:
        v1, v2 = v1 + more_v1, v2 + more_v2
        canary.take(weight, lanes(v1, v2))
        assert canary.share.asked == weight
        assert 0 <= canary.share.counted <= canary.share.total <= v1 + v2
        assert str(canary.share)
