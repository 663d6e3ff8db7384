"""What the sidecars' /metrics say of requests, and the difference between two readings."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

_REQUESTS = "meshproxy_requests_total"
_RETRIES = "meshproxy_retries_total"
_BUCKET = "meshproxy_request_duration_seconds_bucket"


class LaneKey(NamedTuple):
    """What counts are kept for: requests of one direction by one rule of a route to one backend."""

    direction: str
    service: str
    route: str
    backend: str


@dataclass(slots=True)
class Lane:
    """Counts; `buckets` are cumulative, by their upper bounds in seconds."""

    codes: dict[str, float] = field(default_factory=dict)
    retries: float = 0
    buckets: dict[float, float] = field(default_factory=dict)

    @property
    def requests(self) -> float:
        return sum(self.codes.values())

    @property
    def failed(self) -> float:
        """Answers with a 5xx, of an application or of the sidecar itself."""
        return sum(count for code, count in self.codes.items() if code.startswith("5"))

    def since(self, base: Lane | None) -> Lane:
        """What was counted after `base`. A counter that is lower than it was began anew, with its process."""
        if base is None or base.requests > self.requests:
            return self
        return Lane(
            {code: count - base.codes.get(code, 0) for code, count in self.codes.items()},
            self.retries - base.retries,
            {bound: count - base.buckets.get(bound, 0) for bound, count in self.buckets.items()},
        )

    def quantile_s(self, q: float) -> float | None:
        """The latency that the part `q` did not exceed, interpolated in its bucket; None without requests."""
        bounds = sorted(self.buckets)
        total = self.buckets[bounds[-1]] if bounds else 0
        if not total:
            return None
        lower, below = 0.0, 0.0
        for bound in bounds:
            count = self.buckets[bound]
            if count >= q * total:
                return lower if bound == inf else lower + (bound - lower) * (q * total - below) / (count - below)
            lower, below = bound, count
        return None


def parse(text: str) -> dict[LaneKey, Lane]:
    """Read a page of metrics, all of which are passed over but those of requests."""
    wanted = (_REQUESTS, _RETRIES, _BUCKET)
    lines = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(wanted))
    lanes: dict[LaneKey, Lane] = {}
    for family in text_string_to_metric_families(lines):
        for sample in family.samples:
            labels = sample.labels
            key = LaneKey(labels["direction"], labels["service"], labels["route"], labels["backend"])
            lane = lanes.setdefault(key, Lane())
            if sample.name == _REQUESTS:
                lane.codes[labels["code"]] = lane.codes.get(labels["code"], 0) + sample.value
            elif sample.name == _RETRIES:
                lane.retries += sample.value
            else:
                lane.buckets[float(labels["le"])] = sample.value
    return lanes
