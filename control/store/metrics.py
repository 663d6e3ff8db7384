"""What Prometheus is told of the embedded store."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from control.store.store import Store


class StoreCollector(Collector):
    """Read at each scrape. `taken` is the version up to which others have taken its changes, `refused` a count."""

    def __init__(self, store: Store, taken: Callable[[], int], refused: Callable[[], int]) -> None:
        self._store = store
        self._taken = taken
        self._refused = refused

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "meshcontrol_store_version", "The resource version of the latest write.", value=self._store.version
        )
        yield GaugeMetricFamily(
            "meshcontrol_index_version",
            "The resource version up to which changes were taken from the store; that of the store, or it is behind.",
            value=self._taken(),
        )
        yield CounterMetricFamily(
            "meshcontrol_objects_refused", "Stored objects that could not be read.", value=self._refused()
        )
