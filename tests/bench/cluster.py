"""A generated cluster behind a fake API server, and changes in it: `python -m tests.bench.cluster`.

Spoken to by lines of JSON. The first one is a Setup, answered once the API server listens; what the further ones ask
for has happened when they are answered. Times are time.monotonic(), which all processes of a machine share.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tests.bench import recorded
from tests.bench.catalog import PORT_KINDS, place_of
from tests.bench.child import answer
from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.kubernetes.generate import Place, Plan
from tests.fakes.kubernetes.resources import BUILT_IN, GATEWAY_API
from tests.fakes.kubernetes.server import Server
from tests.fakes.kubernetes.state import Cluster, Item

CHUNK = 20
"""Recorded events that happen at one go."""
_MARKED = b',"meshproxy.io/sidecar":"injected"'
_RESOURCES = {resource.kind: resource for resource in (*BUILT_IN, *GATEWAY_API)}
_SLICES = _RESOURCES["EndpointSlice"]


class Setup(Struct, tag=True):
    """What there is, and where to write a kubeconfig for it."""

    services: int
    endpoints: int
    kubeconfig: str


class Storm(Struct, tag=True):
    """Endpoints of the Services from `first` to below `end` are replaced, by chance, one at least.

    Answered by a list of Changes.
    """

    first: int
    end: int
    rate: float
    seconds: float


class Relist(Struct, tag=True):
    """All watches end and cannot be resumed."""


class Replay(Struct, tag=True):
    """What was recorded happens so many times over, as fast as it can; answered by the number of events."""

    times: int


class Asked(Struct, tag=True):
    """When was the first request after this time?"""

    since: float


class Change(Struct, array_like=True):
    """An endpoint of a Service was replaced by one with the address of this turn."""

    turn: int
    service: int
    at: float


class HalfMeshed(Plan):
    """A generated cluster in which every second Pod has a sidecar."""

    def pod(self, place: Place, version: int) -> bytes:
        body = super().pod(place, version)
        assert _MARKED in body
        return body if place.number % 2 else body.replace(_MARKED, b"", 1)


def names_of(plan: Plan, service: int) -> list[str]:
    """What a sidecar follows of a Service."""
    owner = f"{plan.namespace(service)}/{plan.service_name(service)}"
    return [f"service/{owner}", *(f"{kind}/{owner}:80" for kind in PORT_KINDS)]


class Generated:
    """The cluster and its API server."""

    def __init__(self, setup: Setup) -> None:
        self._plan = HalfMeshed(setup.services, setup.endpoints)
        self._cluster = Cluster()
        self._plan.fill(self._cluster)
        self._rng = random.Random(1)
        self._turn = 0
        self.api = FakeApi(cluster=self._cluster, host="127.0.0.1")
        self.api.kubeconfig(Path(setup.kubeconfig))

    def close(self) -> None:
        self.api.stop()

    def carry_out(self, order: Storm | Relist | Replay | Asked) -> Any:
        match order:
            case Storm():
                return list(self._storm(order))
            case Relist():
                return self._relist()
            case Replay():
                return sum(self._replay() for _ in range(order.times))
            case Asked():
                return next(asked.at for asked in self.api.asked if asked.at >= order.since)

    def _storm(self, order: Storm) -> Iterator[Change]:
        began = time.monotonic()
        for number in range(max(1, round(order.rate * order.seconds))):
            time.sleep(max(0.0, began + number / order.rate - time.monotonic()))
            yield self._change(self._rng.randrange(order.first, order.end))

    def _change(self, service: int) -> Change:
        """Replace the last endpoint of a Service's first slice."""
        self._turn += 1
        namespace, name = self._plan.namespace(service), f"{self._plan.service_name(service)}-00000"
        found = self._cluster.get(_SLICES, namespace, name)
        assert found is not None
        document = found.document
        document["endpoints"][-1]["addresses"] = [place_of(self._turn)]

        def apply(_: Server) -> float:
            version = self._cluster.version + 1
            document["metadata"]["resourceVersion"] = str(version)
            body = msgspec.json.encode(document)
            at = time.monotonic()
            self._cluster.replace(_SLICES, Item(namespace, name, version, body))
            return at

        return Change(self._turn, service, self.api.in_loop(apply))

    def _relist(self) -> None:
        def age(_: Server) -> None:
            # Every watch has come to the present version; it has to be older than what is still known.
            self._cluster.version += 1

        self.api.in_loop(age)
        self.api.compact()
        self.api.end()

    def _replay(self) -> int:
        before = self._cluster.version
        events = recorded.events()
        for start in range(0, len(events), CHUNK):
            self._happen(events[start : start + CHUNK])
        self._happen(recorded.ending(events))
        return self._cluster.version - before

    def _happen(self, events: list[recorded.Event]) -> None:
        def apply(_: Server) -> None:
            for event in events:
                resource, metadata = _RESOURCES[event.document["kind"]], event.document["metadata"]
                if event.type != "DELETED":
                    self._cluster.put(resource, event.document)
                elif self._cluster.get(resource, metadata["namespace"], metadata["name"]):
                    self._cluster.delete(resource, metadata["namespace"], metadata["name"])

        self.api.in_loop(apply)


def main() -> None:
    lines = sys.stdin.buffer
    generated = Generated(msgspec.json.decode(lines.readline(), type=Setup))
    gc.collect()
    gc.freeze()
    gc.disable()
    answer({})
    for line in lines:
        answer(generated.carry_out(msgspec.json.decode(line, type=Storm | Relist | Replay | Asked)))
    generated.close()


if __name__ == "__main__":
    main()
