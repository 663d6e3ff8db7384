"""A mesh whose control plane reads a cluster: the fake API server over TLS, and real processes for everything else.

The API server grants what deploy/rbac.yaml does and nothing else; at the end every request that it saw is compared
with it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.control import build
from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.kubernetes.manifests import namespace, node
from tests.fakes.kubernetes.pods import Processes
from tests.fakes.kubernetes.requests import Asked
from tests.fakes.kubernetes.rollout import Deployment
from tests.fakes.load import Address, Load, Server
from tests.fakes.mesh import ControlPlane, Mesh, running, total
from tests.fakes.origin import ok
from tests.fakes.process import Sidecar

RBAC = Path(__file__).parents[2] / "deploy" / "rbac.yaml"
TOKEN = "the-first-token"
KINDS = ("services", "endpointslices", "pods", "nodes", "namespaces", "httproutes", "referencegrants")
NAMES = ("Service", "EndpointSlice", "Pod", "Node", "Namespace", "HTTPRoute", "ReferenceGrant")
"""The same, as metrics name them."""
HURRY = {
    "control.kube.reflector.LOOK_S": 0.2,  # between two looks for a kind that is not installed
    "control.kube.reflection.LIVED_S": 0.1,  # after which a watch has lived, and failures are counted anew
}
"""What takes too long for a test: a watch of a few moments stands for one of some minutes."""
SILENCE = {
    "control.kube.reflector.SILENT_S": 1.5,
    "control.kube.reflector.LIST_SILENT_S": 1.5,
    "control.kube.client.HEAD_S": 1.5,
}
"""How long silence is borne, where that has to end within the test; bookmarks come every BOOKMARK_S."""
BOOKMARK_S = 0.4
PAUSE_S = 0.005
"""Between two requests of a caller."""

_NOTHING: Counter[Any] = Counter()

Right = tuple[str, str, str]
"""Group, resource, verb; or "", a path, "get"."""


def role() -> dict[str, Any]:
    """The ClusterRole that is meant for the control plane."""
    (found,) = (item for item in yaml.safe_load_all(RBAC.read_text()) if item["kind"] == "ClusterRole")
    return found


def granted() -> set[Right]:
    """Everything that it grants."""
    found: set[Right] = set()
    for rule in role()["rules"]:
        found |= {
            (group, resource, verb)
            for group in rule.get("apiGroups", ())
            for resource in rule.get("resources", ())
            for verb in rule["verbs"]
        }
        found |= {("", path, verb) for path in rule.get("nonResourceURLs", ()) for verb in rule["verbs"]}
    return found


def needed(asked: Asked) -> Right:
    """The right that a request takes."""
    return (asked.group, asked.resource, asked.verb) if asked.resource else ("", asked.path, asked.verb)


class Calls(Load):
    """Leaves some of the machine to the others, and its outcomes can be looked at while it goes on."""

    def told(self, response: http.client.HTTPResponse) -> tuple[int, bytes]:
        found = super().told(response)
        self._stopped.wait(PAUSE_S)
        return found

    def so_far(self) -> Counter[tuple[int, bytes] | str]:
        with self._lock:
            return Counter(self.outcomes)

    def bodies(self, before: Counter[tuple[int, bytes] | str] = _NOTHING) -> set[str]:
        """The names that have answered (since an earlier `so_far`); anything but a success fails the test."""
        outcomes = self.so_far() - before
        assert {outcome[0] for outcome in outcomes} <= {200}, outcomes
        return {outcome[1].decode() for outcome in outcomes}


class Cluster:
    """An API server, the control plane that reads it, and what else runs in the mesh."""

    def __init__(self, mesh: Mesh, directory: Path) -> None:
        self.mesh = mesh
        self.api = FakeApi(tls=directory / "tls", token=TOKEN, bookmark_s=BOOKMARK_S)
        self.api.allow(role())
        self.api.put(namespace("shop"), *(node(f"node-{zone}", zone) for zone in ("zone-a", "zone-b")))
        self.kubeconfig = self.api.kubeconfig(directory / "kubeconfig")
        self.pods = Processes()
        self.until = mesh.until
        self._planes: list[ControlPlane] = []

    @property
    def plane(self) -> ControlPlane:
        """The control plane, where there is one."""
        (plane,) = self._planes
        return plane

    def control(self, *, hurry: Mapping[str, float] = {}, waits: bool = True) -> ControlPlane:
        """Run a control plane that reads the cluster."""
        flags = ("--kubernetes", "--kubeconfig", str(self.kubeconfig))
        plane = self.mesh.control(*flags, hurry={**HURRY, **hurry}, waits=waits)
        self._planes.append(plane)
        return plane

    def sidecar(self, *flags: str, **who: Any) -> Sidecar:
        return self.mesh.sidecar(self.plane.url, *flags, **who)

    def deployment(self, name: str, replicas: int, **settings: Any) -> Deployment:
        """A Deployment in the namespace shop whose pods are processes."""
        return Deployment(
            self.api, "shop", name, replicas, **{"start": self.pods.start, "stop": self.pods.stop, **settings}
        )

    def serve(self, name: str) -> Server:
        """A Service in the namespace shop with one endpoint that answers with its name."""
        server = self.mesh.server(Server(ok(name.encode())))
        self.api.put(build.service(name), slice_of(name, server))
        return server

    def moving(self) -> Moving:
        """A Service `echo` behind a route of its own, on a running control plane, and a sidecar that follows it."""
        places = [self.mesh.server(Server(ok(f"place-{number}".encode()))) for number in range(2)]
        self.api.put(build.service("echo"), build.service("blue"), build.http_route("echo", build.rule("blue")))
        self.api.put(slice_of("blue", places[0]))
        return Moving(self, places)

    # What is told

    def checks(self, state: str) -> dict[str, str]:
        """What the control plane finds of itself in this state, by section and name."""
        found = self.plane.request("GET", "/apis/meshproxy.io/v1alpha1/check")["items"]
        return {f"{item['section']}: {item['name']}": item["message"] for item in found if item["state"] == state}

    @contextlib.contextmanager
    def grows(self, family: str, *kinds: str, **labels: str) -> Iterator[None]:
        """Wait at the end until a count of each of these kinds (or all) has grown since the beginning."""

        def counts() -> list[float]:
            return [self.kind_metric(family, kind, **labels) for kind in kinds or NAMES]

        before = counts()
        yield
        self.until(lambda: all(now > then for now, then in zip(counts(), before, strict=True)))

    def rest(self) -> None:
        """Wait until every kind has been watched for a while, so that what fails next is a failure of its own."""

        def has_lived() -> bool:
            is_old = time.monotonic() - self.api.asked[-1].at > 2 * HURRY["control.kube.reflection.LIVED_S"]
            return is_old and self.api.watching() == len(KINDS)

        self.until(has_lived)

    def settled(self, sidecar: Sidecar) -> tuple[float, dict[str, str]]:
        """What the control plane has sent so far, and what a sidecar has got: pushes, and the version of each name."""
        self.until(lambda: all(status["synced"] for status in self.plane.proxies().values()))
        return self.plane.metric("meshcontrol_pushes_total"), versions(sidecar)

    def lines(self, *patterns: str) -> list[str]:
        """The lines of the control plane's log that match one of some patterns."""
        return [line for line in self.plane.log if any(re.search(pattern, line) for pattern in patterns)]

    def kind_metric(self, family: str, kind: str = "", **labels: str) -> float:
        """The sum of a family's samples of one kind (or all) that have these labels."""
        text = self.plane.ask("metrics", "/metrics")[1]
        wanted = {**({"kind": kind} if kind else {}), **labels}
        lines = [
            line for line in text.splitlines() if all(f'{name}="{value}"' in line for name, value in wanted.items())
        ]
        return total("\n".join(lines), rf"meshcontrol_kube_{family}[ {{]")


class Moving:
    """Moves the only endpoint from one place to the other, and knows what callers have to see of it."""

    def __init__(self, shop: Cluster, places: list[Server]) -> None:
        self._shop = shop
        self._places = places
        self._moves = 0

    @property
    def here(self) -> str:
        """What is answered once everything is known to everybody."""
        return f"place-{self._moves % 2}"

    def move(self) -> None:
        self._moves += 1
        self._shop.api.put(slice_of("blue", self._places[self._moves % 2]))

    def back(self) -> None:
        """Somebody else has undone the latest move."""
        self._moves -= 1

    @contextlib.contextmanager
    def called(self, hurry: Mapping[str, float] = {}) -> Iterator[tuple[Sidecar, Calls]]:
        """Run a control plane and a sidecar, and call through it; begins once everything is known."""
        self._shop.control(hurry=hurry)
        client = self._shop.sidecar()
        with calling(client) as load:
            self.until_known(load)
            yield client, load

    def unchanged(self, load: Calls, client: Sidecar) -> Unchanged:
        return Unchanged(self._shop, load, client)

    def until_known(self, load: Calls) -> None:
        """Wait until callers are answered by the new place alone."""

        def is_known() -> bool:
            before = load.so_far()
            self._shop.until(lambda: load.total >= before.total() + 20)
            return load.bodies(before) == {self.here}

        self._shop.until(is_known)


class Unchanged:
    """What sidecars have and callers see at one time, to be compared with later."""

    def __init__(self, shop: Cluster, load: Calls, client: Sidecar) -> None:
        self._shop = shop
        self._load = load
        self._client = client
        self._settled = shop.settled(client)
        self.pushes = self._settled[0]
        self._before = load.so_far()
        self._bodies = load.bodies()

    def check(self) -> None:
        """Nothing was pushed, the sidecar has what it had, and requests went on as they did."""
        at = self._load.total
        self._shop.until(lambda: self._load.total >= at + 20)
        assert self._shop.settled(self._client) == self._settled
        assert self._load.bodies(self._before) <= self._bodies


def slice_of(service: str, place: Any, name: str = "", **fields: Any) -> dict[str, Any]:
    """An EndpointSlice with one endpoint; `fields` are the endpoint's."""
    item = {"addresses": [place.host], "conditions": {"ready": True, "serving": True, "terminating": False}, **fields}
    return build.endpoint_slice(service, item, ports=[{"port": place.port}], name=name)


def versions(sidecar: Sidecar) -> dict[str, str]:
    """The version of each resource that a sidecar has in use."""
    rows = json.loads(sidecar.admin("/config")[1])["resources"]
    return {row["name"]: row["version"] for row in rows}


def outbound(sidecar: Sidecar) -> Address:
    return sidecar.addresses["outbound"]


@contextlib.contextmanager
def calling(sidecar: Sidecar, host: str = "echo", callers: int = 4) -> Iterator[Calls]:
    """Callers without a pause, on connections that stay; none of them may meet anything but success.

    They send POST, which is repeated only where it provably was not processed.
    """
    load = Calls(outbound(sidecar), callers, host)
    try:
        yield load
    finally:
        load.stop()
    load.bodies()


@contextlib.contextmanager
def cluster(directory: Path) -> Iterator[Cluster]:
    """A cluster without anything in it but a namespace and two nodes."""
    with contextlib.ExitStack() as stack:
        mesh = stack.enter_context(running(directory))
        made = Cluster(mesh, directory)
        stack.callback(made.api.stop)
        stack.callback(made.pods.close)
        yield made
        unasked = {needed(asked) for asked in made.api.asked} - granted()
        assert not unasked, unasked
