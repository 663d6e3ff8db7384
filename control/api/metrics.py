"""What the API counts of itself."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from control.api.watcher import Watchers

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Registers into the control plane's registry. `action` is an operation's, `code` the HTTP status."""

    def __init__(self, registry: CollectorRegistry, watchers: Watchers) -> None:
        self._requests = Counter(
            "meshcontrol_api_requests_total",
            "Requests to the API; watches when they end.",
            ["action", "code"],
            registry=registry,
        )
        self._duration = Histogram(
            "meshcontrol_api_request_duration_seconds",
            "How long a request to the API took, watches aside.",
            ["action"],
            buckets=BOUNDS_S,
            registry=registry,
        )
        self._overflows = Counter(
            "meshcontrol_api_watch_overflows_total", "Watches ended because they did not keep up.", registry=registry
        )
        watches = Gauge("meshcontrol_api_watches", "Watches under way.", registry=registry)
        watches.set_function(lambda: len(watchers))
        watchers.on_overflow = self._overflows.inc

    def on_request(self, action: str, code: int, duration_s: float, *, is_watch: bool) -> None:
        self._requests.labels(action, str(code)).inc()
        if not is_watch:
            self._duration.labels(action).observe(duration_s)
