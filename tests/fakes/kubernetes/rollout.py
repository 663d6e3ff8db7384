"""A Deployment with what looks after it: the controllers, the scheduler and the kubelet of a cluster, for tests.

What becomes of pods and EndpointSlices, and in which order, is as recorded from real controllers: a pod is Pending, is
given its node, runs, is ready; its endpoint follows each step. A pod that goes is first marked, and its endpoint is
terminating (not ready, still serving); it leaves the slice when its process has ended, and then the pod is gone.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.kubernetes.manifests import endpoint, endpoint_slice, pod_document, service

GRACE_S = 30
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Of generated names: no vowels, so no words."""


@dataclass(eq=False)
class Pod:
    """One pod. `phase` is Pending, Running, Succeeded; empty when it is gone."""

    name: str
    number: int
    zone: str
    account: str
    labels: dict[str, str]
    namespace: str = ""
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    host: str = ""
    port: int = 0
    phase: str = "Pending"
    node: str = ""
    is_ready: bool = False
    deleted: str = ""
    grace_s: int = GRACE_S

    def document(self) -> dict[str, Any]:
        return pod_document(self)


class Deployment:
    """A Service, its pods and its EndpointSlices on a `FakeApi`.

    `start` gets a pod's application going and returns where it listens; `stop` ends it and returns when it has ended,
    as a kubelet waits for it. `service` is put into the Service's spec. The endpoints follow the pods after `lag_s`;
    with a lag, processes are told to end before their endpoints say so, as in a cluster. Methods return when what they
    do is done, and no two are called at once.
    """

    def __init__(
        self,
        api: FakeApi,
        namespace: str,
        name: str,
        replicas: int,
        *,
        start: Callable[[Pod], tuple[str, int]],
        stop: Callable[[Pod], None] = lambda _: None,
        account: str = "default",
        labels: dict[str, str] | None = None,
        zones: tuple[str, ...] = ("zone-a", "zone-b"),
        service: dict[str, Any] | None = None,
        lag_s: float = 0.0,
    ) -> None:
        self.namespace = namespace
        self.name = name
        self.pods: list[Pod] = []
        self._api = api
        self._start = start
        self._stop = stop
        self._account = account
        self._labels = {"app": name, **(labels or {})}
        self._zones = zones
        self._spec = service or {}
        self._lag_s = lag_s
        self._made = self._named = 0
        self._generation = 1
        self._slices: dict[int, str] = {}
        self._service: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._ending: list[threading.Thread] = []
        self._expose()
        self.scale(replicas)

    @property
    def replicas(self) -> list[Pod]:
        """The pods that are not on their way out."""
        return [pod for pod in list(self.pods) if not pod.deleted]

    def scale(self, count: int) -> None:
        """Add pods, or let the newest go."""
        while len(self.replicas) < count:
            self._add()
        for pod in self.replicas[count:]:
            self.delete(pod)
        self.settle()

    def rolling_restart(self) -> None:
        """Replace every pod: at most a quarter more than asked for, at least three quarters ready, at any time."""
        self._generation += 1
        old = self.replicas
        count = len(old)
        most, least = count + math.ceil(count / 4), count - count // 4
        while old or len(self.replicas) < count:
            while old and sum(pod.is_ready for pod in self.replicas) > least:
                self.delete(old.pop(0))
            if len(self.replicas) - len(old) < count and len(self.replicas) < most:
                self._add()
        self.settle()

    def unready(self, pod: Pod) -> None:
        """Its readiness probe fails."""
        pod.is_ready = False
        self._show(pod)
        self._sync()

    def ready(self, pod: Pod) -> None:
        pod.is_ready = True
        self._show(pod)
        self._sync()

    def delete(self, pod: Pod) -> None:
        """Delete it with its grace; its end is not waited for (see `settle`)."""
        pod.deleted = _time(GRACE_S)
        self._show(pod)
        ending = threading.Thread(target=self._finish, args=(pod,), daemon=True)
        self._ending.append(ending)
        for step in (ending.start, self._sync) if self._lag_s else (self._sync, ending.start):
            step()

    def delete_now(self, pod: Pod) -> None:
        """Delete it without grace: the pod is gone at once, then its endpoint, and its process at last."""
        self.pods.remove(pod)
        pod.phase = ""
        self._api.delete(pod.document())
        self._sync()
        self._stop(pod)

    def settle(self) -> None:
        """Wait until every pod that goes is gone."""
        while self._ending:
            self._ending.pop().join()

    def remove(self) -> None:
        """Delete the Service with its pods."""
        self.scale(0)
        self._api.delete(self._service, *(self._slice(name, 0, []) for name in self._slices.values()))

    # The parts

    def _expose(self) -> None:
        document = service(self.namespace, self.name, self._labels["app"], self._spec)
        (self._service,) = self._api.put(document)
        self._sync()

    def _add(self) -> None:
        self._made += 1
        number = self._made
        zone = self._zones[number % len(self._zones)]
        name = f"{self.name}-{self._generation:x}d876bbf6c-{_suffix(number)}"
        pod = Pod(name, number, zone, self._account, self._labels, self.namespace)
        self.pods.append(pod)
        self._show(pod)
        pod.node = f"node-{zone}"
        self._show(pod)
        pod.host, pod.port = self._start(pod)
        pod.phase = "Running"
        self._show(pod)
        self._sync()
        self.ready(pod)

    def _finish(self, pod: Pod) -> None:
        self._stop(pod)
        pod.phase, pod.is_ready = "Succeeded", False
        self._show(pod)
        self._sync()
        pod.grace_s = 0
        self._show(pod)
        self.pods.remove(pod)
        self._api.delete(pod.document())

    def _show(self, pod: Pod) -> None:
        self._api.put(pod.document())

    def _sync(self) -> None:
        """What the EndpointSlice controller does: one slice for each set of ports, an empty one if there is none."""
        if self._lag_s:
            time.sleep(self._lag_s)
        with self._lock:
            by_port: dict[int, list[dict[str, Any]]] = {}
            for pod in list(self.pods):
                if pod.host and pod.phase == "Running":
                    is_published = self._spec.get("publishNotReadyAddresses", False)
                    by_port.setdefault(pod.port, []).append(endpoint(pod, is_published=is_published))
            wanted = by_port or {0: []}
            unused = [self._slices.pop(port) for port in self._slices.keys() - wanted.keys()]
            for port, endpoints in wanted.items():
                if port not in self._slices:
                    self._named += 1
                    self._slices[port] = unused.pop() if unused else f"{self.name}-{_suffix(self._named)}"
                self._api.put(self._slice(self._slices[port], port, endpoints))
            self._api.delete(*(self._slice(name, 0, []) for name in unused))

    def _slice(self, name: str, port: int, endpoints: list[dict[str, Any]]) -> dict[str, Any]:
        return endpoint_slice(self._service, name, port, endpoints)


def _suffix(number: int) -> str:
    """Of a generated name."""
    return "".join(ALPHABET[(number * 7919 + number**place + place) % len(ALPHABET)] for place in range(5))


def _time(from_now_s: float = 0.0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=from_now_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
