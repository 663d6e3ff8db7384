"""Families off the request path, one attribute each; whoever sees the event counts it.

Counters are counted by `add(*label values)`, gauges set by `set(value, *label values)`.
"""

from __future__ import annotations

from meshproxy.metrics.family import Read
from meshproxy.metrics.slots import Registry


class Events:
    """What a process that serves traffic sees."""

    __slots__ = ("access_dropped", "certificate_expiry", "detections", "plain_to_meshed", "shed", "tls_failures")

    def __init__(self, registry: Registry) -> None:
        counter, gauge = registry.counter, registry.gauge
        self.detections = counter(
            "meshproxy_detections_total",
            "Connections whose first bytes were no help: none came in time, or TLS without an identity to answer it.",
            ("direction", "outcome"),
        )
        self.tls_failures = counter(
            "meshproxy_tls_handshake_failures_total", "TLS handshakes that failed.", ("direction", "reason")
        )
        self.shed = counter("meshproxy_connections_shed_total", "Connections turned away.", ("direction", "reason"))
        self.plain_to_meshed = counter(
            "meshproxy_plain_to_meshed_connections_total",
            "Plain-text connections to endpoints that are meshed, for want of an identity of our own.",
            ("backend",),
        )
        self.certificate_expiry = gauge(
            "meshproxy_certificate_expiry_timestamp_seconds", "Unix time at which our own certificate ends."
        )
        self.access_dropped = counter(
            "meshproxy_access_log_dropped_total", "Access log lines that were dropped because nobody read fast enough."
        )


class Loads:
    """What becomes of a snapshot file."""

    __slots__ = ("snapshot", "snapshot_loaded", "snapshot_loads")

    def __init__(self, registry: Registry) -> None:
        counter, gauge = registry.counter, registry.gauge
        self.snapshot = gauge("meshproxy_snapshot_info", "The version of the snapshot in use.", ("version",))
        self.snapshot_loaded = gauge(
            "meshproxy_snapshot_loaded_timestamp_seconds", "Unix time at which the snapshot in use took effect."
        )
        self.snapshot_loads = counter(
            "meshproxy_snapshot_loads_total", "Snapshots offered, by outcome: taken or refused.", ("outcome",)
        )


def register_endpoints(registry: Registry, read: Read) -> None:
    """Add `meshproxy_endpoints`; `read` gives ((backend, state), count), the state a word of `EndpointState`."""
    registry.gauge("meshproxy_endpoints", "Endpoints, by state.", ("backend", "state"), read)


def register_timers(registry: Registry, read: Read) -> None:
    """Add `meshproxy_timers`: entries that stand in the timer wheel."""
    registry.gauge("meshproxy_timers", "Entries in the timer wheel.", read=read)


def register_parked(registry: Registry, read: Read) -> None:
    """Add `meshproxy_parked_requests`: exchanges that wait for a Service that is not known yet."""
    registry.gauge("meshproxy_parked_requests", "Requests that wait for a Service that is not known yet.", read=read)
