"""A large cluster of realistic objects, its pods kept as one template and their numbers; and storms of changes."""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.fakes.kubernetes import manifests
from tests.fakes.kubernetes.resources import BUILT_IN, Resource
from tests.fakes.kubernetes.state import Cluster, Item

BY_KIND: dict[str, Resource] = {resource.kind: resource for resource in BUILT_IN}
PER_SLICE = 100
"""A slice has at most so many endpoints; a Service with more has several slices."""
PORT = 8080
MARK = {"meshproxy.io/sidecar": "injected"}


@dataclass
class Filler:
    """The pod of a template: every field that differs is a word to be replaced."""

    name: str = "@name@"
    namespace: str = "@namespace@"
    uid: str = "@uid@"
    account: str = "@account@"
    labels: Any = None
    host: str = "@host@"
    port: int = PORT
    phase: str = "Running"
    node: str = "@node@"
    zone: str = "@zone@"
    is_ready: bool = True
    deleted: str = ""
    grace_s: int = 30


class Template:
    """The JSON of a kind of object with holes; `render` fills them with plain ASCII."""

    def __init__(self, document: dict[str, Any]) -> None:
        body = {name: value for name, value in document.items() if name not in {"apiVersion", "kind"}}
        body["metadata"] = {"resourceVersion": "@version@", "creationTimestamp": manifests.CREATED, **body["metadata"]}
        self._parts = re.split(rb"@([a-z]+)@", msgspec.json.encode(body))
        self._holes = self._parts[1::2]

    def render(self, values: dict[bytes, str]) -> bytes:
        known = {name: value.encode() for name, value in values.items()}
        parts = self._parts.copy()
        parts[1::2] = [known[name] for name in self._holes]
        return b"".join(parts)


class Place:
    """Where a pod is: its number says all about it."""

    __slots__ = ("number", "service")

    def __init__(self, number: int, service: int) -> None:
        self.number = number
        self.service = service

    @property
    def host(self) -> str:
        return f"10.{128 + (self.number >> 16)}.{self.number >> 8 & 255}.{self.number & 255}"

    @property
    def uid(self) -> str:
        return f"{self.number:08x}-1c1d-4e2f-8a3b-{self.service:012x}"


class PodItem(Item):
    """A pod that is rendered when it is sent."""

    __slots__ = ("_make", "_place")

    def __init__(self, plan: Plan, place: Place, version: int) -> None:
        super().__init__(plan.namespace(place.service), plan.pod_name(place), version, b"")
        self._make = plan
        self._place = place

    @property
    def body(self) -> bytes:
        return self._make.pod(self._place, self.version)


class Plan:
    """A cluster of so many Services, with endpoints shared out equally, in some namespaces and on nodes in zones."""

    def __init__(self, services: int, endpoints: int, namespaces: int = 100, zones: int = 3) -> None:
        self.services = services
        self.endpoints = endpoints
        self.namespaces = min(namespaces, services)
        self.nodes = max(zones, endpoints // 100)
        self.zones = zones
        self._pod = Template(manifests.pod_document(Filler(labels={"app": "@service@", **MARK})))

    def namespace(self, service: int) -> str:
        return f"team-{service % self.namespaces:03d}"

    def service_name(self, service: int) -> str:
        return f"service-{service:05d}"

    def pod_name(self, place: Place) -> str:
        return f"{self.service_name(place.service)}-5d876bbf6c-{place.number:06x}"

    def node(self, place: Place) -> str:
        return f"node-{place.number % self.nodes:04d}"

    def zone(self, place: Place) -> str:
        return f"zone-{'abcdefgh'[place.number % self.nodes % self.zones]}"

    def places(self, service: int) -> list[Place]:
        """The pods of a Service."""
        first = service * self.endpoints // self.services
        end = (service + 1) * self.endpoints // self.services
        return [Place(number, service) for number in range(first, end)]

    def pod(self, place: Place, version: int) -> bytes:
        name = self.service_name(place.service)
        return self._pod.render({
            b"version": str(version), b"namespace": self.namespace(place.service), b"name": self.pod_name(place),
            b"uid": place.uid, b"account": name, b"host": place.host, b"node": self.node(place),
            b"zone": self.zone(place), b"service": name,
        })  # fmt: skip

    def endpoint(self, place: Place, *, is_ready: bool = True) -> dict[str, Any]:
        filled = Filler(
            self.pod_name(place), self.namespace(place.service), place.uid, "", {}, place.host, PORT, "Running",
            self.node(place), self.zone(place), is_ready,
        )  # fmt: skip
        return manifests.endpoint(filled)

    def fill(self, cluster: Cluster) -> None:
        """Put everything into an empty cluster, as if it had always been there."""
        version = cluster.version
        nodes = [manifests.node(f"node-{i:04d}", f"zone-{'abcdefgh'[i % self.zones]}") for i in range(self.nodes)]
        names = sorted({self.namespace(service) for service in range(self.namespaces)})
        pods: list[Item] = []
        services: list[Item] = []
        slices: list[Item] = []
        for number in range(self.services):
            places = self.places(number)
            name, namespace = self.service_name(number), self.namespace(number)
            service = manifests.service(namespace, name, name, {})
            service["metadata"]["uid"] = f"5e41ce00-0000-4000-8000-{number:012x}"
            services.append(_item(service, version))
            for start in range(0, len(places), PER_SLICE):
                chosen = [self.endpoint(place) for place in places[start : start + PER_SLICE]]
                slice_ = manifests.endpoint_slice(service, f"{name}-{start // PER_SLICE:05d}", PORT, chosen)
                slice_["metadata"]["uid"] = f"51ce0000-0000-4000-8000-{number:07x}{start:05x}"
                slices.append(_item(slice_, version))
            pods += [PodItem(self, place, version) for place in places]
        cluster.shelf(BY_KIND["Node"]).fill([_item(document, version) for document in nodes])
        cluster.shelf(BY_KIND["Namespace"]).fill([_item(manifests.namespace(name), version) for name in names])
        cluster.shelf(BY_KIND["Service"]).fill(services)
        cluster.shelf(BY_KIND["Pod"]).fill(pods)
        cluster.shelf(BY_KIND["EndpointSlice"]).fill(slices)


class Happened(msgspec.Struct):
    """One change of a storm. `at` is time.monotonic(), which all processes of a machine share."""

    at: float
    namespace: str
    service: str
    slice: str
    address: str
    is_ready: bool
    version: int


class Storm:
    """Changes of EndpointSlices at a rate: each turns one endpoint of one slice unready, or ready again."""

    def __init__(self, cluster: Cluster, seed: int = 1) -> None:
        self.happened: list[Happened] = []
        self.is_over = True
        self._cluster = cluster
        self._rng = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, rate: float, seconds: float, services: list[str] | None = None) -> None:
        """Change slices (of these Services only, by name, if given) in the running loop."""
        self.happened.clear()
        self.is_over = False
        shelf = self._cluster.shelf(BY_KIND["EndpointSlice"])
        chosen = [key for key, item in shelf.items.items() if not services or _owner(item) in services]
        task = asyncio.get_running_loop().create_task(self._run(chosen, rate, seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, keys: list[str], rate: float, seconds: float) -> None:
        began = time.monotonic()
        for number in range(int(rate * seconds)):
            pause_s = began + number / rate - time.monotonic()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            self._change(self._rng.choice(keys))
        self.is_over = True

    def _change(self, key: str) -> None:
        resource = BY_KIND["EndpointSlice"]
        document = self._cluster.shelf(resource).items[key].document
        endpoint = self._rng.choice(document["endpoints"])
        is_ready = not endpoint["conditions"]["ready"]
        endpoint["conditions"] = {"ready": is_ready, "serving": is_ready, "terminating": False}
        metadata = document["metadata"]
        metadata["resourceVersion"] = str(self._cluster.version + 1)
        item = Item(metadata["namespace"], metadata["name"], self._cluster.version + 1, msgspec.json.encode(document))
        service = metadata["labels"]["kubernetes.io/service-name"]
        self.happened.append(
            Happened(
                time.monotonic(), item.namespace, service, item.name, endpoint["addresses"][0], is_ready, item.version
            )
        )
        self._cluster.replace(resource, item)


def _item(document: dict[str, Any], version: int) -> Item:
    body = {name: value for name, value in document.items() if name not in {"apiVersion", "kind"}}
    metadata = {"resourceVersion": str(version), "creationTimestamp": manifests.CREATED, **document["metadata"]}
    body["metadata"] = metadata
    return Item(metadata.get("namespace", ""), metadata["name"], version, msgspec.json.encode(body))


def _owner(item: Item) -> str:
    return item.name.rpartition("-")[0]
