"""Endpoints that nobody asked for long, and those that come back."""

from __future__ import annotations

from math import isfinite

import pytest

from meshproxy.policy.balance import Balancer
from meshproxy.policy.endpoint import EndpointState
from meshproxy.wire import resources as wire

NOW = 1_000.0
HOUR_S = 3_600.0


def _balancer(count: int, **settings) -> tuple[Balancer, list[EndpointState]]:
    balancer = Balancer(wire.Backend(**settings))
    balancer.update([wire.Endpoint(address="10.0.0.1", port=n + 1) for n in range(count)], NOW)
    return balancer, list(balancer.states)


@pytest.mark.parametrize("decay_s", [0.001, 0.005, 10.0])
@pytest.mark.parametrize("hours", [0.1, 1.0, 3.0, 24.0, 24.0 * 365])
def test_the_latency_is_told_after_any_time_of_idleness(decay_s: float, hours: float) -> None:
    balancer, (state,) = _balancer(1, balance=wire.Balance(decay_s=decay_s))
    balancer.observe(state, NOW, 0.2, False)
    told = balancer.latency_s(state, NOW + hours * HOUR_S)
    assert isfinite(told)
    assert 0.0 <= told < 0.2
    balancer.observe(state, NOW + hours * HOUR_S, 0.3, False)
    assert balancer.latency_s(state, NOW + hours * HOUR_S) == pytest.approx(0.3, rel=0.05)


def test_an_endpoint_that_comes_back_gets_its_share_at_once() -> None:
    balancer, (good, bad) = _balancer(2)
    for n in range(5):
        balancer.observe(good, NOW + n / 100, 0.02, False)
        balancer.observe(bad, NOW + n / 100, 5.0, True)
    assert bad.ejected
    now = bad.retry_at
    probed = balancer.pick(now, lambda: 0.0)
    assert probed is bad
    balancer.observe(bad, now + 0.02, 0.02, False)
    assert not bad.ejected
    # A hundred requests at a time: by its failures' average it would get none of them.
    for n in range(100):
        chosen = balancer.pick(now + 0.02, lambda n=n: n % 2 / 2)
        assert chosen is not None
        chosen.inflight += 1
    assert bad.inflight > 20
