"""Kubernetes objects that describe origins to the mesh: what an operator would write and a cluster would add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

import yaml

from loadtest.block import APP_PORT
from loadtest.scenario.model import Policy
from loadtest.subjects.identity import NAMESPACE
from loadtest.subjects.subject import Address, Place

MANIFESTS = "manifests"
PORT = 80
"""Of every Service."""

Document = dict[str, Any]

_UNITS_MS = (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


class Endpoint(NamedTuple):
    """Where the mesh reaches an instance; `pod` names its Pod when a sidecar stands before it, else it is empty."""

    address: Address
    pod: str = ""


def describe(
    origin: str, endpoints: Sequence[Endpoint], policy: Policy, gone: Sequence[Endpoint] = ()
) -> list[Document]:
    """The objects of one origin: a Service, its HTTPRoute, Pods, and an EndpointSlice, in the order of a cluster.

    All endpoints of an origin share a port. Instances behind a sidecar have the origin's name as service account; those
    that are `gone` from the slice still have their Pods.
    """
    pods = [_pod(origin, each.pod, each.address[0]) for each in (*endpoints, *gone) if each.pod]
    return [_service(origin), _route(origin, policy), *pods, _slice(origin, endpoints)]


def to_yaml(documents: Sequence[Document]) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False, default_flow_style=None, width=120)


def write(place: Place, documents: Mapping[str, Sequence[Document]]) -> None:
    """The objects of each origin as a file, in MANIFESTS in the place's folder."""
    folder = place.folder / MANIFESTS
    folder.mkdir(parents=True, exist_ok=True)
    for origin, of_it in documents.items():
        (folder / f"{origin}.yaml").write_text(to_yaml(of_it))


def path_of(document: Document) -> str:
    """Where an object is in the REST API."""
    version = document["apiVersion"]
    base = "api" if "/" not in version else "apis"
    metadata = document["metadata"]
    plural = f"{document['kind'].lower()}s"
    return f"/{base}/{version}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"


def to_duration(seconds: float) -> str:
    """As Gateway API writes it (GEP-2257): whole milliseconds, rounded up, because 0s would mean no limit."""
    left_ms = ceil(round(seconds * 1000, 6))
    parts = []
    for unit, size_ms in _UNITS_MS:
        number, left_ms = divmod(left_ms, size_ms)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def _metadata(name: str, **labels: str) -> Document:
    return {"name": name, "namespace": NAMESPACE, **({"labels": labels} if labels else {})}


def _service(origin: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(origin),
        "spec": {"selector": {"app": origin}, "ports": [{"name": "http", "port": PORT, "targetPort": "http"}]},
    }


def _route(origin: str, policy: Policy) -> Document:
    rule: Document = {"backendRefs": [{"name": origin, "port": PORT}]}
    limits = {"request": policy.timeout, "backendRequest": policy.attempt_timeout}
    timeouts = {field: to_duration(value) for field, value in limits.items() if value is not None}
    if timeouts:
        rule["timeouts"] = timeouts
    # Without retries nothing is said of them: the mesh then does as it does for everybody.
    if policy.retries:
        rule["retry"] = {"attempts": policy.retries}
        if policy.retry_codes:
            rule["retry"]["codes"] = sorted(set(policy.retry_codes))
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": _metadata(origin),
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": origin}], "rules": [rule]},
    }


def _pod(origin: str, name: str, address: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(name, **{"app": origin, "meshproxy.io/sidecar": "injected"}),
        "spec": {"serviceAccountName": origin, "containers": [{"name": "origin", "image": "load/origin"}]},
        "status": {"phase": "Running", "podIP": address},
    }


def _slice(origin: str, endpoints: Sequence[Endpoint]) -> Document:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": _metadata(f"{origin}-1", **{"kubernetes.io/service-name": origin}),
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": endpoints[0].address[1] if endpoints else APP_PORT}],
        "endpoints": [_entry(each) for each in endpoints],
    }


def _entry(endpoint: Endpoint) -> Document:
    entry: Document = {"addresses": [endpoint.address[0]], "conditions": {"ready": True}}
    if endpoint.pod:
        entry["targetRef"] = {"kind": "Pod", "namespace": NAMESPACE, "name": endpoint.pod}
    return entry
