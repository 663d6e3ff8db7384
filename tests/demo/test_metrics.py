"""The demo's reading of metrics, against the sidecar's own writing of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.metrics import Lane, LaneKey, parse
from meshproxy.metrics.exposition import expose
from meshproxy.metrics.slots import ExchangeSlot, Registry

LABELS = ("outbound", "shop/catalog:80", "shop/catalog/items", "shop/catalog:80", "http")
KEY = LaneKey(*LABELS[:4])


def read(registry: Registry) -> dict[LaneKey, Lane]:
    return parse(b"".join(expose(registry)).decode())


def finish(slot: ExchangeSlot, status: int, duration_s: float, fault: str = "", peer: str = "") -> None:
    slot.finish(status, fault, peer, duration_s, duration_s)


def test_counts_are_those_of_the_sidecar() -> None:
    registry = Registry()
    slot = registry.exchange(*LABELS)
    finish(slot, 200, 0.001)
    finish(slot, 200, 0.001, peer="spiffe://cluster.local/ns/shop/sa/front")
    finish(slot, 503, 0.001, fault="no_endpoint")
    slot.retries["status"] += 2
    slot.retries["connect"] += 3
    registry.gauge("meshproxy_timers", "Others.").set(7)
    lane = read(registry)[KEY]
    assert (lane.requests, lane.failed, lane.retries) == (3, 1, 5)


def test_what_happened_since_is_the_difference() -> None:
    registry = Registry()
    slot = registry.exchange(*LABELS)
    finish(slot, 200, 0.001)
    base = read(registry)[KEY]
    finish(slot, 502, 0.4)
    slot.retries["status"] += 1
    change = read(registry)[KEY].since(base)
    assert (change.requests, change.failed, change.retries) == (1, 1, 1)
    assert 0.25 <= (change.quantile_s(0.5) or 0) <= 0.5


def test_a_process_that_began_anew_is_counted_from_its_start() -> None:
    before = Lane(codes={"200": 100})
    assert Lane(codes={"200": 4}).since(before).requests == 4
    assert Lane(codes={"200": 4}).since(None).requests == 4


def test_without_requests_there_is_no_latency() -> None:
    assert Lane().quantile_s(0.5) is None
    assert Lane(buckets={0.001: 0, float("inf"): 0}).quantile_s(0.99) is None


@given(st.lists(st.floats(0.0, 70.0), min_size=1, max_size=50), st.sampled_from([0.5, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(durations: list[float], q: float) -> None:
    registry = Registry()
    slot = registry.exchange(*LABELS)
    for duration in durations:
        finish(slot, 200, duration)
    lane = read(registry)[KEY]
    rank = next(n for n in range(1, len(durations) + 1) if n >= q * len(durations))
    true = sorted(durations)[rank - 1]
    found = lane.quantile_s(q)
    assert found is not None
    bounds = [0.0, *sorted(lane.buckets)]
    upper = next(bound for bound in bounds[1:] if true <= bound)
    lower = bounds[bounds.index(upper) - 1]
    assert lower <= found <= upper
