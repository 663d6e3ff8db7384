from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from meshproxy.crew.segment import Segment
from meshproxy.crew.state import READ_EVERY, Publisher, decode
from meshproxy.crew.totals import Totals
from meshproxy.metrics.exposition import expose
from meshproxy.metrics.slots import NEVER, Registry

PEER = 'spiffe://a/ns/"b"/sa/c'


def published(registry: Registry, size_bytes: int = 1 << 20) -> list:
    """What a reader gets of a registry."""
    segment = Segment.create(size_bytes)
    publish(Publisher(registry, segment))
    records = list(decode(segment.read()))
    segment.close()
    return records


def publish(publisher: Publisher) -> None:
    for _ in publisher.steps():
        pass


def samples(source) -> dict:
    families = list(text_string_to_metric_families(b"".join(expose(source)).decode()))
    assert len({family.name for family in families}) == len(families)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def of_worker(records: list, worker: int = 1) -> Totals:
    totals = Totals()
    totals.add(records, worker)
    return totals


def value(source, name: str, **labels: str) -> float:
    return samples(source)[name, frozenset(labels.items())]


ended = st.tuples(
    st.sampled_from(["a", "b", "c"]),  # route
    st.sampled_from([200, 404, 503]),
    st.sampled_from(["", "no_endpoints"]),
    st.sampled_from(["", PEER]),
    st.integers(0, 100).map(lambda n: n / 8),  # adds up without rounding
    st.booleans(),
)


def count(registry: Registry, exchanges: list) -> None:
    for route, status, fault, peer, duration_s, has_answer in exchanges:
        slot = registry.exchange("outbound", "demo/echo:80", route, "demo/echo:80", "http")
        slot.attempts += 1
        slot.sent_bytes += 10
        slot.retries["status"] += 1
        slot.finish(status, fault, peer, duration_s, duration_s / 2 if has_answer else NEVER)
        connection = registry.connection("outbound", "upstream", bool(peer))
        connection.opened += 1
        connection.closed += 1
        registry.counter("meshproxy_events_total", "Events.", ("word",)).add(fault or "none")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), ended), max_size=60))
def test_workers_add_up_to_what_one_process_would_have_counted(work):
    alone = Registry()
    count(alone, [exchange for _, exchange in work])
    totals = Totals()
    for worker in range(4):
        registry = Registry()
        count(registry, [exchange for owner, exchange in work if owner == worker])
        totals.add(published(registry), worker + 1)
    assert samples(totals) == samples(alone)


@settings(max_examples=60, deadline=None)
@given(st.lists(ended, max_size=20), st.lists(ended, max_size=20))
def test_what_a_worker_that_has_ended_had_counted_stays(first, second):
    alone, one, other = Registry(), Registry(), Registry()
    count(alone, [*first, *second])
    count(one, first)
    count(other, second)
    past = Totals()
    past.fold(published(one))
    totals = Totals()
    totals.add_past(past)
    totals.add(published(other), 1)

    def counters(source) -> dict:
        return {key: value for key, value in samples(source).items() if not key[0].endswith(("_open", "_requests"))}

    assert counters(totals) == counters(alone)


def test_of_a_worker_that_has_ended_nothing_is_active_open_or_its_own():
    registry = Registry()
    slot = registry.exchange("outbound", "s", "r", "b", "http")
    slot.active = 3
    slot.attempts = 5
    connection = registry.connection("outbound", "upstream", False)
    connection.opened, connection.closed = 10, 4
    registry.gauge("meshproxy_timers", "Timers.").set(7)
    registry.counter("process_cpu_seconds_total", "CPU.").add(n=2)
    past = Totals()
    past.fold(published(registry))
    found = {name: number for (name, _), number in samples(past).items()}
    assert found["meshproxy_attempts_total"] == 5
    assert found["meshproxy_active_requests"] == 0
    assert found["meshproxy_connections_opened_total"] == found["meshproxy_connections_closed_total"] == 10
    assert found["meshproxy_connections_open"] == 0
    assert "meshproxy_timers" not in found
    assert "process_cpu_seconds_total" not in found


def test_what_belongs_to_a_process_carries_its_worker():
    totals = Totals()
    for worker in (1, 2):
        registry = Registry()
        registry.gauge("process_resident_memory_bytes", "Memory.").set(worker * 1000)
        registry.counter("python_gc_collections_total", "Collections.", ("generation",)).add("0", n=worker)
        registry.gauge("meshproxy_event_loop_lag_seconds", "Lag.").set(worker)
        totals.add(published(registry), worker)
    own = Registry()
    own.gauge("process_resident_memory_bytes", "Memory.").set(500)
    totals.add_own(own)
    assert value(totals, "process_resident_memory_bytes") == 500
    assert value(totals, "process_resident_memory_bytes", worker="2") == 2000
    assert value(totals, "python_gc_collections_total", generation="0", worker="1") == 1
    assert value(totals, "meshproxy_event_loop_lag_seconds", worker="2") == 2


def test_endpoints_are_the_mean_and_points_in_time_the_oldest():
    totals = Totals()
    for worker, states in enumerate(({"ready": 3}, {"ready": 2, "ejected": 1}), 1):
        registry = Registry()
        endpoints = registry.gauge("meshproxy_endpoints", "Endpoints.", ("backend", "state"))
        for state, number in states.items():
            endpoints.set(number, "b", state)
        registry.gauge("meshproxy_snapshot_loaded_timestamp_seconds", "Loaded.").set(1000 + worker)
        registry.gauge("meshproxy_snapshot_info", "Version.", ("version",)).set(1, "v1")
        registry.gauge("meshproxy_timers", "Timers.").set(worker)
        totals.add(published(registry), worker)
    assert value(totals, "meshproxy_endpoints", backend="b", state="ready") == 2.5
    assert value(totals, "meshproxy_endpoints", backend="b", state="ejected") == 0.5
    assert value(totals, "meshproxy_snapshot_loaded_timestamp_seconds") == 1001
    assert value(totals, "meshproxy_snapshot_info", version="v1") == 1
    assert value(totals, "meshproxy_timers") == 3


def test_slots_without_room_are_told_and_the_rest_stays_right():
    registry = Registry()
    for n in range(200):
        slot = registry.exchange("outbound", f"demo/echo-{n}:80", "r", "b", "http")
        slot.attempts = 1
    registry.connection("outbound", "upstream", False).opened = 4
    records = published(registry, 16_384)
    totals = of_worker(records)
    shown = Counter(name for name, _ in samples(totals))["meshproxy_attempts_total"]
    assert 0 < shown < 200
    assert value(totals, "meshproxy_worker_metrics_dropped") == 200 - shown
    assert {name: number for (name, _), number in samples(totals).items()}["meshproxy_connections_opened_total"] == 4


def test_slots_never_used_are_not_published():
    registry = Registry()
    registry.exchange("outbound", "s", "r", "b", "http")
    assert published(registry) == []


def test_families_that_are_read_are_not_read_each_time():
    calls = 0

    def read():
        nonlocal calls
        calls += 1
        return [((), float(calls))]

    registry = Registry()
    registry.gauge("meshproxy_timers", "Timers.", read=read)
    segment = Segment.create()
    publisher = Publisher(registry, segment)
    for _ in range(2 * READ_EVERY):
        publish(publisher)
    assert calls == 2
    assert value(of_worker(list(decode(segment.read()))), "meshproxy_timers") == 2
    segment.close()


def test_publishing_again_replaces_what_was_published():
    registry = Registry()
    segment = Segment.create()
    publisher = Publisher(registry, segment)
    slot = registry.exchange("outbound", "s", "r", "b", "http")
    for n in range(5):
        slot.attempts += 1
        publish(publisher)
        (record,) = decode(segment.read())
        assert record.attempts == n + 1
    segment.close()
