from __future__ import annotations

import math
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from meshproxy.metrics import process
from meshproxy.metrics.events import Events, Loads, register_endpoints, register_timers
from meshproxy.metrics.exposition import SLICE_BYTES, cut, expose
from meshproxy.metrics.labels import label_text
from meshproxy.metrics.slots import BOUNDS_S, CONNECTION_LABELS, EXCHANGE_LABELS, NEVER, Registry

FROZEN = {
    "meshproxy_requests": "counter",
    "meshproxy_request_duration_seconds": "histogram",
    "meshproxy_response_first_byte_seconds": "histogram",
    "meshproxy_attempts": "counter",
    "meshproxy_retries": "counter",
    "meshproxy_retry_budget_refused": "counter",
    "meshproxy_active_requests": "gauge",
    "meshproxy_sent_bytes": "counter",
    "meshproxy_received_bytes": "counter",
    "meshproxy_connections_opened": "counter",
    "meshproxy_connections_closed": "counter",
    "meshproxy_connections_open": "gauge",
    "meshproxy_endpoints": "gauge",
}


def parse(registry):
    """Return the families by name, and the samples by (name, labels), as Prometheus' own parser reads them."""
    families = list(text_string_to_metric_families(b"".join(expose(registry)).decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    samples = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples
            samples[key] = sample.value
    return {family.name: family for family in families}, samples


def fill(registry, n):
    labels = ("outbound", f"demo/echo-{n}:80", f"demo/route-{n}/0", f"demo/echo-{n}:80", "http")
    slot = registry.exchange(*labels)
    for k in range(n % 7 + 1):
        slot.finish(200, "", "", 0.0007 * 2**k, 0.0005 * 2**k)
    slot.finish(503, "no_endpoints", "", 0.0001, NEVER)
    slot.finish(200, "", 'spiffe://a/ns/"b"/sa/c', 90.0, 70.0)
    slot.active = n % 3
    slot.attempts = 2 * n + 1
    slot.retries["connect_refused"] += n + 1
    slot.budget_refused = n
    slot.sent_bytes = n * 1000
    slot.received_bytes = n * 3000
    return dict(zip(EXCHANGE_LABELS, labels, strict=True)), slot


def test_the_parser_reads_back_what_the_slots_hold():
    registry = Registry()
    slots = [fill(registry, n) for n in range(40)]
    families, samples = parse(registry)
    for labels, slot in slots:

        def value(name, labels=labels, **more):
            return samples[name, frozenset((labels | more).items())]

        total = sum(slot.codes.values()) + sum(slot.outcomes.values())
        assert value("meshproxy_requests_total", code="200", fault="", peer="") == slot.codes[200]
        assert value("meshproxy_requests_total", code="503", fault="no_endpoints", peer="") == 1
        assert value("meshproxy_requests_total", code="200", fault="", peer='spiffe://a/ns/"b"/sa/c') == 1
        assert value("meshproxy_attempts_total") == slot.attempts
        assert value("meshproxy_retries_total", reason="connect_refused") == slot.retries["connect_refused"]
        assert value("meshproxy_retry_budget_refused_total") == slot.budget_refused
        assert value("meshproxy_active_requests") == slot.active
        assert value("meshproxy_sent_bytes_total") == slot.sent_bytes
        assert value("meshproxy_received_bytes_total") == slot.received_bytes
        for name, counts, sum_s in (
            ("meshproxy_request_duration_seconds", slot.duration_counts, slot.duration_sum_s),
            ("meshproxy_response_first_byte_seconds", slot.first_byte_counts, slot.first_byte_sum_s),
        ):
            edges = [*map(str, BOUNDS_S), "+Inf"]
            assert [value(f"{name}_bucket", le=edge) for edge in edges] == list(accumulate(counts))
            assert value(f"{name}_count") == sum(counts)
            assert value(f"{name}_sum") == sum_s
        assert value("meshproxy_request_duration_seconds_count") == total
    assert families["meshproxy_requests"].type == "counter"


def test_the_families_that_dashboards_freeze_have_their_names_types_and_labels():
    registry = Registry()
    fill(registry, 1)
    registry.connection("inbound", "downstream", True).opened += 1
    register_endpoints(registry, lambda: [(("demo/echo:80", "ready"), 3)])
    families, samples = parse(registry)
    assert {name: families[name].type for name in FROZEN} == FROZEN
    assert all(families[name].documentation for name in families)
    more = {"meshproxy_requests": {"code", "fault", "peer"}, "meshproxy_retries": {"reason"}}
    for name in list(FROZEN)[:9]:
        for sample in families[name].samples:
            assert set(sample.labels) - {"le"} == set(EXCHANGE_LABELS) | more.get(name, set())
    assert set(families["meshproxy_connections_open"].samples[0].labels) == set(CONNECTION_LABELS)
    assert samples["meshproxy_endpoints", frozenset({("backend", "demo/echo:80"), ("state", "ready")})] == 3


def test_connections_are_opened_closed_and_open():
    registry = Registry()
    slot = registry.connection("outbound", "upstream", False)
    slot.opened, slot.closed = 7, 3
    _, samples = parse(registry)
    labels = frozenset({("direction", "outbound"), ("side", "upstream"), ("tls", "false")})
    assert samples["meshproxy_connections_opened_total", labels] == 7
    assert samples["meshproxy_connections_closed_total", labels] == 3
    assert samples["meshproxy_connections_open", labels] == 4


def test_events_and_process_metrics_are_valid_text():
    registry = Registry()
    events = Events(registry)
    register_timers(registry, lambda: [((), 12)])
    process.register(registry)
    events.detections.add("inbound", "tls")
    Loads(registry).snapshot.replace(1, "abc")
    events.certificate_expiry.set(1.75e9)
    families, samples = parse(registry)
    assert samples["meshproxy_timers", frozenset()] == 12
    assert samples["meshproxy_detections_total", frozenset({("direction", "inbound"), ("outcome", "tls")})] == 1
    assert samples["meshproxy_certificate_expiry_timestamp_seconds", frozenset()] == 1.75e9
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6


def test_special_values_are_written_as_the_format_wants_them():
    registry = Registry()
    gauge = registry.gauge("a", "A.", ("x",))
    for word, value in (("inf", math.inf), ("minus", -math.inf), ("nan", math.nan), ("small", 1e-9), ("big", 2**70)):
        gauge.set(value, word)
    _, samples = parse(registry)
    read = {dict(labels)["x"]: value for (_, labels), value in samples.items()}
    assert read["inf"] == math.inf
    assert read["minus"] == -math.inf
    assert math.isnan(read["nan"])
    assert read["small"] == 1e-9
    assert read["big"] == 2.0**70


def test_help_text_is_one_line():
    registry = Registry()
    registry.counter("a_total", "first\nsecond \\ third")
    families, _ = parse(registry)
    assert families["a"].documentation == "first\nsecond \\ third"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3))
@example(["\n", "a\\n", '"\\'])
@example(["\\", '"', "\r\t\x00\u2028"])
def test_any_label_value_survives(values):
    registry = Registry()
    names = tuple(f"l{n}" for n in range(len(values)))
    registry.gauge("a", "A.", names).set(1, *values)
    _, samples = parse(registry)
    assert samples == {("a", frozenset(zip(names, values, strict=True))): 1}


def test_as_many_values_as_names():
    with pytest.raises(ValueError, match="zip"):
        label_text(("a", "b"), ("x",))


def test_slices_are_bounded_and_idle_slots_end_one_as_well():
    registry = Registry()
    for n in range(300):
        fill(registry, n)
    slices = list(expose(registry))
    assert len(slices) > 10
    longest_piece = 8192
    assert max(map(len, slices)) < SLICE_BYTES + longest_piece
    idle = list(cut("" for _ in range(2000)))
    assert len(idle) >= 3
    assert not any(idle)


def test_what_was_never_used_says_nothing():
    registry = Registry()
    registry.exchange("outbound", "demo/idle:80", "r", "b", "http")
    fill(registry, 1)
    assert b"demo/idle" not in b"".join(expose(registry))


def test_counting_goes_on_between_slices():
    registry = Registry()
    for n in range(100):
        fill(registry, n)
    text = b""
    for n, piece in enumerate(expose(registry)):
        text += piece
        fill(registry, n)
        registry.release(fill(registry, 1000 + n)[1])
    for family in text_string_to_metric_families(text.decode()):
        if family.type == "histogram":
            counts = [s.value for s in family.samples if s.name.endswith("_count")]
            ends = [s.value for s in family.samples if s.labels.get("le") == "+Inf"]
            assert counts == ends
