from __future__ import annotations

from collections import Counter
from math import exp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.policy.balance import FLOOR, RENEW, Balancer
from meshproxy.policy.endpoint import EndpointState
from meshproxy.wire import resources as wire

NOW = 1000.0


def endpoint(index: int, **kwargs: object) -> wire.Endpoint:
    return wire.Endpoint(address=f"10.0.0.{index}", port=80, **kwargs)  # type: ignore[arg-type]


def balancer(*endpoints: wire.Endpoint, now: float = NOW) -> Balancer:
    subject = Balancer(wire.Backend())
    subject.update(endpoints, now)
    return subject


def by_address(subject: Balancer) -> dict[str, EndpointState]:
    return {state.spec.address: state for state in subject.states}


def picked(subject: Balancer, count: int = 200, now: float = NOW, **kwargs: object) -> Counter[str]:
    rng = Random(1)
    found = (subject.pick(now, rng.random, **kwargs) for _ in range(count))  # type: ignore[arg-type]
    return Counter(state.spec.address for state in found if state is not None)


def test_nothing_is_picked_where_there_is_nothing() -> None:
    assert balancer().pick(NOW, Random(1).random) is None


def test_a_single_endpoint_is_always_picked_even_when_tried() -> None:
    subject = balancer(endpoint(1))
    (state,) = subject.states
    assert subject.pick(NOW, Random(1).random) is state
    assert subject.pick(NOW, Random(1).random, (state,)) is state


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ([endpoint(1), endpoint(2, ready=False)], {"10.0.0.1"}),
        ([endpoint(1, weight=0), endpoint(2)], {"10.0.0.2"}),
        ([endpoint(1, weight=0)], set()),
        ([endpoint(1, ready=False)], set()),
        ([endpoint(1, ready=False, terminating=True), endpoint(2)], {"10.0.0.2"}),
        ([endpoint(1, ready=False, terminating=True), endpoint(2, ready=False)], {"10.0.0.1"}),
        ([endpoint(1, ready=False, terminating=True, serving=False)], set()),
        ([endpoint(1, ready=False, terminating=True), endpoint(2, weight=0)], {"10.0.0.1"}),
    ],
)
def test_candidates_are_ready_endpoints_else_those_that_still_answer(
    specs: list[wire.Endpoint], expected: set[str]
) -> None:
    subject = balancer(*specs)
    assert set(picked(subject)) == {state.spec.address for state in subject.candidates} == expected


def test_both_of_two_equal_endpoints_are_used_and_the_idle_one_is_preferred() -> None:
    subject = balancer(endpoint(1), endpoint(2))
    assert set(picked(subject)) == {"10.0.0.1", "10.0.0.2"}
    by_address(subject)["10.0.0.1"].inflight = 1
    assert set(picked(subject)) == {"10.0.0.2"}


def test_the_two_draws_are_different_endpoints() -> None:
    """The worst of all is never picked: whoever it is drawn with is better."""
    subject = balancer(*(endpoint(i) for i in range(5)))
    by_address(subject)["10.0.0.3"].inflight = 100
    counts = picked(subject, 1000)
    assert set(counts) == {"10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.4"}


@given(st.integers(2, 6), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_every_draw_is_within_the_list(count: int, first: float, second: float) -> None:
    values = iter((first, second))
    subject = balancer(*(endpoint(i) for i in range(count)))
    assert subject.pick(NOW, lambda: next(values)) in subject.states


def test_the_slower_endpoint_is_avoided_and_comes_back_with_time() -> None:
    subject = balancer(endpoint(1), endpoint(2))
    slow, fast = by_address(subject).values()
    subject.observe(fast, NOW, 0.002, failed=False)
    for i in range(100):
        subject.observe(fast, NOW + i * 0.5, 0.002, failed=False)
        if i < 20:
            subject.observe(slow, NOW + i * 0.5, 0.5, failed=False)
    later = NOW + 49.5
    assert set(picked(subject, now=later)) == {"10.0.0.2"}
    for i in range(200):
        later = NOW + 49.5 + i * 0.5
        subject.observe(fast, later, 0.002, failed=False)
    assert "10.0.0.1" in picked(subject, now=later)


def test_a_failed_attempt_counts_a_second() -> None:
    subject = balancer(endpoint(1), endpoint(2))
    failing, other = by_address(subject).values()
    subject.observe(failing, NOW, 0.0005, failed=True)
    assert subject.latency_s(failing, NOW) == pytest.approx(1.0)
    subject.observe(other, NOW, 3.0, failed=True)
    assert subject.latency_s(other, NOW) == pytest.approx(3.0)


class Reference:
    """The textbook's Peak EWMA of one endpoint."""

    def __init__(self, value: float, now: float, decay_s: float) -> None:
        self.value, self.at, self.decay_s = value, now, decay_s

    def observe(self, now: float, latency_s: float) -> None:
        kept = exp(-(now - self.at) / self.decay_s)
        self.value = max(latency_s, self.value * kept + latency_s * (1 - kept))
        self.at = now

    def read(self, now: float) -> float:
        return self.value * exp(-(now - self.at) / self.decay_s)


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.floats(0.0001, 10.0)), max_size=40))
def test_the_growing_scale_yields_the_textbooks_average(steps: list[tuple[float, float]]) -> None:
    subject = balancer(endpoint(1))
    (state,) = subject.states
    reference = Reference(0.03, NOW, 10.0)
    now = NOW
    for pause, latency_s in steps:
        now += pause
        subject.observe(state, now, latency_s, failed=False)
        reference.observe(now, latency_s)
        # What a renewal of the scale has not let sink below its floor may still stand in the average.
        assert subject.latency_s(state, now) == pytest.approx(reference.read(now), rel=1e-6, abs=0.03 * FLOOR)


def test_renewing_the_scale_keeps_the_order_of_the_endpoints() -> None:
    subject = balancer(endpoint(1), endpoint(2), endpoint(3))
    one, two, three = by_address(subject).values()
    now = NOW + RENEW * 10.0 - 0.1
    for state, latency_s in ((one, 0.1), (two, 0.2), (three, 0.4)):
        subject.observe(state, now, latency_s, failed=False)
    subject.observe(three, now + 0.2, 0.4, failed=False)
    assert subject._epoch > NOW
    assert one.load < two.load < three.load
    assert subject.latency_s(two, now + 0.2) == pytest.approx(0.2 * exp(-0.02), rel=1e-6)


@pytest.mark.parametrize("pause", [0.0, 1.0, 600.0, 86400.0, 1e9])
def test_no_pause_makes_an_endpoint_infinitely_attractive_or_breaks_the_numbers(pause: float) -> None:
    subject = balancer(endpoint(1), endpoint(2))
    one, two = by_address(subject).values()
    subject.observe(one, NOW + pause, 0.003, failed=False)
    assert 0.0 < two.load < 1e300
    assert 0.0 < one.load < 1e300
    if pause >= 600.0:
        two.inflight = 20
        assert set(picked(subject, now=NOW + pause)) == {"10.0.0.1"}


def test_load_is_shared_by_weight() -> None:
    subject = balancer(endpoint(1, weight=1), endpoint(2, weight=3))
    rng = Random(3)
    for _ in range(400):
        state = subject.pick(NOW, rng.random)
        assert state is not None
        state.inflight += 1
    light, heavy = by_address(subject).values()
    assert heavy.inflight / light.inflight == pytest.approx(3.0, rel=0.05)
    subject.update([endpoint(1, weight=1), endpoint(2, weight=1)], NOW)
    assert light.load == pytest.approx(heavy.load)


def test_tried_endpoints_are_avoided_while_there_is_another() -> None:
    subject = balancer(endpoint(1), endpoint(2), endpoint(3))
    one, two, three = by_address(subject).values()
    assert set(picked(subject, tried=(one,))) == {"10.0.0.2", "10.0.0.3"}
    assert set(picked(subject, tried=(one, three))) == {"10.0.0.2"}
    assert set(picked(subject, tried=(one, two, three))) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


def test_an_update_keeps_what_is_known_of_who_stays_and_returns_who_is_gone() -> None:
    subject = balancer(endpoint(1), endpoint(2))
    one, two = by_address(subject).values()
    subject.observe(one, NOW, 0.5, failed=False)
    one.inflight = 3
    one.pool = pool = object()
    removed = subject.update([endpoint(1, zone="b"), endpoint(3)], NOW + 1)
    assert removed == [two]
    kept = by_address(subject)["10.0.0.1"]
    assert kept is one
    assert kept.spec.zone == "b"
    assert kept.inflight == 3
    assert kept.pool is pool
    assert subject.latency_s(one, NOW + 1) == pytest.approx(0.5 * exp(-0.1))


def test_another_identity_at_the_same_address_is_another_endpoint() -> None:
    subject = balancer(endpoint(1, identity="spiffe://d/ns/a/sa/x", meshed=True))
    (old,) = subject.states
    assert subject.update([endpoint(1, identity="spiffe://d/ns/a/sa/y", meshed=True)], NOW) == [old]
    assert list(subject.states) != [old]


def test_doubles_in_an_update_count_once() -> None:
    assert len(balancer(endpoint(1), endpoint(1)).states) == 1


def test_reports_of_an_endpoint_that_is_gone_change_nothing_for_the_others() -> None:
    subject = balancer(*(endpoint(i) for i in range(4)))
    gone = by_address(subject)["10.0.0.0"]
    subject.update([endpoint(i) for i in range(1, 4)], NOW)
    for _ in range(10):
        subject.observe(gone, NOW, 0.1, failed=True)
    assert set(picked(subject)) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert not gone.ejected


def test_conditions_have_one_word() -> None:
    subject = balancer(
        endpoint(1),
        endpoint(2, ready=False, terminating=True),
        endpoint(3, ready=False),
        endpoint(4, ready=False, serving=False, terminating=True),
    )
    assert [state.condition for state in subject.states] == ["ready", "terminating", "unready", "unready"]
