"""What is counted about reading a cluster, and how it leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from control.kube.events import Garbage
from control.kube.failure import KubeError
from control.kube.reflection import Defect, Ignored, Silence, is_gone

_WORDS = {401: "unauthorized", 403: "forbidden", 404: "absent", 429: "throttled"}


def word_of(error: KubeError) -> str:
    """Return the label of a failure, out of few."""
    if isinstance(error, Garbage):
        return "garbage"
    if isinstance(error, Silence):
        return "silence"
    if isinstance(error, Ignored):
        return "ignored"
    if isinstance(error, Defect):
        return "defect"
    if is_gone(error):
        return "expired"
    if error.code == 0:
        return "connection"
    return _WORDS.get(error.code) or ("server" if error.code >= 500 else "refused")


class Counts:
    """Of one kind."""

    __slots__ = ("failures", "requests")

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.requests: Counter[tuple[str, int]] = Counter()
        """By verb and status, 0 for no answer."""

    def on_failure(self, word: str) -> None:
        self.failures[word] += 1

    def on_request(self, verb: str, code: int) -> None:
        self.requests[verb, code] += 1


class Sample(NamedTuple):
    """One kind at a scrape."""

    kind: str
    is_listed: bool
    heard_age_s: float
    refused: int
    events: Mapping[str, int]
    lists: Mapping[str, int]
    counts: Counts


class KubeCollector(Collector):
    """Reads at each scrape."""

    def __init__(self, read: Callable[[], Iterable[Sample]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        name = "meshcontrol_kube_"
        listed = GaugeMetricFamily(f"{name}listed", "Whether all objects of a kind were listed.", labels=["kind"])
        age = GaugeMetricFamily(
            f"{name}watch_age_seconds", "Since the API server's last sign of life about a kind.", labels=["kind"]
        )
        refused = GaugeMetricFamily(
            f"{name}objects_refused", "Objects that could not be taken and count as absent.", labels=["kind"]
        )
        events = CounterMetricFamily(f"{name}events", "Events taken, bookmarks included.", labels=["kind", "type"])
        lists = CounterMetricFamily(f"{name}lists", "Lists begun, and why.", labels=["kind", "reason"])
        failures = CounterMetricFamily(f"{name}failures", "What went wrong.", labels=["kind", "reason"])
        requests = CounterMetricFamily(
            f"{name}requests", "Requests answered; code 0 is no answer.", labels=["kind", "verb", "code"]
        )
        for sample in self._read():
            kind = sample.kind
            listed.add_metric([kind], float(sample.is_listed))
            age.add_metric([kind], sample.heard_age_s)
            refused.add_metric([kind], sample.refused)
            for family, values in ((events, sample.events), (lists, sample.lists), (failures, sample.counts.failures)):
                for word, count in values.items():
                    family.add_metric([kind, word], count)
            for (verb, code), count in sample.counts.requests.items():
                requests.add_metric([kind, verb, str(code)], count)
        return (listed, age, events, lists, failures, refused, requests)
