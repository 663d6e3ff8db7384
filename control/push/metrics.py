"""The push side's metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

LATENCY_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
REASONS = ("stalled", "ping", "overflow", "shutdown", "protocol", "client", "age", "defect")
"""Why a stream ends: its pushes were not answered; nothing was heard of it; it passed a bound; we end; it did what it
may not; it ended it, or its connection was lost; it was sent to another replica in its turn; we met a defect."""


class Latency(Collector):
    """A histogram. One observation costs a quarter of the library's own, and there is one for every Ack."""

    __slots__ = ("_counts", "_sum_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def collect(self) -> Iterable[HistogramMetricFamily]:
        bounds = [*map(str, LATENCY_BOUNDS_S), "+Inf"]
        yield HistogramMetricFamily(
            "meshcontrol_push_latency_seconds",
            "From a write or event to the sidecar's acknowledgement of what came of it.",
            buckets=list(zip(bounds, accumulate(self._counts), strict=True)),
            sum_value=self._sum_s,
        )


class PushMetrics:
    """Registers into the registry that it is given; gauges are read at each scrape."""

    __slots__ = ("_closed", "bytes", "latency", "nacks", "pushes")

    def __init__(
        self,
        registry: CollectorRegistry,
        streams: Callable[[], float],
        subscriptions: Callable[[], float],
        oldest_s: Callable[[], float],
    ) -> None:
        self.latency = Latency()
        registry.register(self.latency)
        self.pushes = Counter("meshcontrol_pushes_total", "Pushes sent.", registry=registry)
        self.bytes = Counter("meshcontrol_pushed_bytes_total", "Bytes of pushes sent.", registry=registry)
        self.nacks = Counter("meshcontrol_nacks_total", "Pushes that were refused.", registry=registry)
        closed = Counter(
            "meshcontrol_streams_closed_total", "Streams that have ended, and why.", ["reason"], registry=registry
        )
        self._closed = {reason: closed.labels(reason) for reason in REASONS}
        for name, text, read in (
            ("meshcontrol_streams", "Open streams.", streams),
            ("meshcontrol_subscriptions", "Names that sidecars follow, summed.", subscriptions),
            ("meshcontrol_oldest_unacknowledged_seconds", "Age of the oldest change not answered.", oldest_s),
        ):
            Gauge(name, text, registry=registry).set_function(read)

    def on_closed(self, reason: str) -> None:
        self._closed[reason].inc()
