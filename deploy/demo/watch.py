"""Looking at the shop through its sidecars' admin addresses, as an operator would."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from deploy.demo import canary
from deploy.demo.client import ResponseError, call
from deploy.demo.metrics import Lane, LaneKey, parse
from deploy.demo.plane import Plane, State
from deploy.demo.pods import NAMESPACE, Pod, show

PATIENCE_S = 2.0
AVOIDED = 4.0
"""Who is so many times as slow as the best of its Service gets next to nothing."""


class Endpoint(NamedTuple):
    """An endpoint as the front end's sidecar sees it."""

    service: str
    pod: str
    state: str
    ewma_ms: float
    ejected_for_s: float


@dataclass(slots=True)
class Look:
    """A reading. `lanes` are those of the front end's sidecar, `pods` what each instance's own sidecar has counted.

    `asked` is the canary's share in the front end's configuration; `plane` None while the control plane is away.
    """

    at: float
    lanes: dict[LaneKey, Lane]
    pods: dict[str, Lane]
    endpoints: list[Endpoint]
    asked: float | None
    plane: State | None


@dataclass(slots=True)
class Change:
    """What has happened between two looks."""

    seconds: float
    lanes: dict[LaneKey, Lane]
    pods: dict[str, Lane]
    endpoints: list[Endpoint]
    plane: State | None = None

    @classmethod
    def between(cls, base: Look, look: Look) -> Change:
        lanes = {key: lane.since(base.lanes.get(key)) for key, lane in look.lanes.items()}
        pods = {name: lane.since(base.pods.get(name)) for name, lane in look.pods.items()}
        plane = look.plane.since(base.plane) if look.plane else None
        return cls(look.at - base.at, lanes, pods, look.endpoints, plane)

    @property
    def retries(self) -> int:
        return round(sum(lane.retries for lane in self.lanes.values()))

    @property
    def pod_requests(self) -> dict[str, int]:
        return {name: round(lane.requests) for name, lane in self.pods.items()}

    @property
    def pod_failures(self) -> dict[str, int]:
        return {name: round(lane.failed) for name, lane in self.pods.items()}

    @property
    def ejected(self) -> list[str]:
        return [endpoint.pod for endpoint in self.endpoints if endpoint.state == "ejected"]

    @property
    def avoided(self) -> list[str]:
        """Pods that are ready and get next to nothing, because others look faster."""
        ready = [endpoint for endpoint in self.endpoints if endpoint.state == "ready"]
        best: dict[str, float] = {}
        for endpoint in ready:
            best[endpoint.service] = min(endpoint.ewma_ms, best.get(endpoint.service, inf))
        return [endpoint.pod for endpoint in ready if endpoint.ewma_ms > AVOIDED * best[endpoint.service]]

    def requests_of(self, service: str) -> dict[str, int]:
        """Requests that each instance of a Service got, repetitions included."""
        counts = self.pod_requests
        return {endpoint.pod: counts.get(endpoint.pod, 0) for endpoint in self.endpoints if endpoint.service == service}


class Watch:
    """Reads the sidecars of all Pods. Of one that does not answer (it is dead, or too busy) the last word holds."""

    def __init__(self, pods: Mapping[str, Pod], plane: Plane) -> None:
        self._front = next(pod for pod in pods.values() if pod.is_caller)
        self._pods = pods
        self._plane = plane
        self._pages: dict[tuple[str, str], str] = {}

    async def look(self) -> Look:
        pods = list(self._pods.values())
        places = [(self._front, "/endpoints"), (self._front, "/config"), *((pod, "/metrics") for pod in pods)]
        state, (rows, config, *pages) = await asyncio.gather(
            self._plane.state(), asyncio.gather(*(self._get(*place) for place in places))
        )
        read = {pod.name: parse(page) for pod, page in zip(pods, pages, strict=True)}
        names = {show(pod.inbound): pod.name for pod in pods if not pod.is_caller}
        return Look(
            time.monotonic(),
            {key: lane for key, lane in read[self._front.name].items() if key.service},
            {name: _inbound(lanes) for name, lanes in read.items()},
            [_endpoint(row, name) for row in _rows(rows) if (name := names.get(str(row["address"])))],
            canary.asked(config),
            state,
        )

    async def _get(self, pod: Pod, path: str) -> str:
        try:
            async with asyncio.timeout(PATIENCE_S):
                _, body = await call(pod.admin, path)
            self._pages[pod.name, path] = body.decode()
        except (OSError, TimeoutError, ResponseError):
            pass
        return self._pages.get((pod.name, path), "")


def _rows(page: str) -> list[dict[str, str | float]]:
    rows: list[dict[str, str | float]] = json.loads(page or '{"endpoints": []}')["endpoints"]
    return sorted(rows, key=lambda row: str(row["backend"]))


def _endpoint(row: dict[str, str | float], pod: str) -> Endpoint:
    backend, state = plain(str(row["backend"])), str(row["state"])
    return Endpoint(backend, pod, state, float(row["ewma_ms"]), float(row["ejected_for_s"]))


def plain(name: str) -> str:
    """A name of the snapshot as people would say it: without the namespace, without the port."""
    return name.removeprefix(f"{NAMESPACE}/").partition(":")[0]


def _inbound(lanes: dict[LaneKey, Lane]) -> Lane:
    total = Lane()
    for key, lane in lanes.items():
        if key.direction == "inbound":
            for code, count in lane.codes.items():
                total.codes[code] = total.codes.get(code, 0) + count
    return total
