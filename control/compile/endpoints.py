"""EndpointSlices to `endpoints/...` and `workload/...`.

Selectors are the cluster's business: a Service without an EndpointSlice has no endpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from control.index.index import Index, is_withheld
from control.model.objects import SIDECAR_LABEL, EndpointSlice, Pod, PodRef, Service, ServicePort, SliceEndpoint
from control.model.protocol import mesh_ports, protocol_of
from meshproxy.wire.address import canonical_address, endpoint_order, spiffe_id
from meshproxy.wire.names import PortKey
from meshproxy.wire.resources import Endpoint, Endpoints, Workload, WorkloadPort

_HIDDEN_LABELS = frozenset({"pod-template-hash", "controller-revision-hash", "pod-template-generation", SIDECAR_LABEL})
"""Labels that change with every rollout and say nothing about an endpoint, and the one that `meshed` stands for."""

MAX_SHARED = 4096
"""Of traits and workloads: replicas are compiled together, and replaced one soon after the other."""


def compile_endpoints(index: Index, service: Service, port: ServicePort, trust_domain: str) -> Endpoints:
    """Gather a port's endpoints from all slices of its Service.

    The slices' ports are found by the name of the Service's port. An address that stands in several slices counts
    once, with its best state. A Pod with addresses of both families is one endpoint, of the Service's first family.
    What is withheld is left out (`is_withheld`).
    """
    found: dict[tuple[int, int, int], Endpoint] = {}
    families: dict[tuple[PodRef, int], str] = {}
    protocol = protocol_of(port)
    for slice_, item, number in _in_order(index, service, port.name):
        trait = _PLAIN
        ref = index.pod_of(slice_, item)
        if ref is not None:
            pod = index.pods.get(ref.key)
            if is_withheld(ref, pod):
                continue
            if families.setdefault((ref, number), slice_.address_type) != slice_.address_type:
                continue
            if pod is not None:
                trait = _trait_of(pod, trust_domain)
        zone = item.zone or (index.zone_of(item.node_name) if item.node_name else "")
        endpoint = _endpoint(item, number, protocol, zone, trait)
        place = endpoint_order(endpoint.address, number)
        if place not in found or _state(endpoint) > _state(found[place]):
            found[place] = endpoint
    return Endpoints(endpoints=[found[place] for place in sorted(found)])


def _in_order(index: Index, service: Service, port_name: str) -> Iterator[tuple[EndpointSlice, SliceEndpoint, int]]:
    families = [*service.spec.ip_families, "IPv4", "IPv6"]
    slices = [slice_ for slice_ in index.slices_of(service.key) if slice_.address_type in families]
    for slice_ in sorted(slices, key=lambda slice_: families.index(slice_.address_type)):
        for port in slice_.ports:
            if port.name == port_name and port.protocol == "TCP" and port.port:
                for item in slice_.endpoints:
                    yield slice_, item, port.port


class _Trait(NamedTuple):
    """What an endpoint has from its Pod: the replicas of one Deployment have it in common, and share it."""

    identity: str
    meshed: bool
    labels: dict[str, str]


_PLAIN = _Trait("", False, {})
_NO_HINTS: list[str] = []


def _trait_of(pod: Pod, trust_domain: str) -> _Trait:
    return _trait(
        trust_domain if pod.is_meshed else "",
        pod.metadata.namespace,
        pod.service_account,
        tuple(pod.metadata.labels.items()),
    )


@lru_cache(maxsize=MAX_SHARED)
def _trait(trust_domain: str, namespace: str, account: str, labels: tuple[tuple[str, str], ...]) -> _Trait:
    shown = {name: value for name, value in sorted(labels) if name not in _HIDDEN_LABELS}
    return _Trait(spiffe_id(trust_domain, namespace, account) if trust_domain else "", bool(trust_domain), shown)


def _endpoint(item: SliceEndpoint, port: int, protocol: str, zone: str, trait: _Trait) -> Endpoint:
    conditions = item.conditions
    ready = conditions.ready is not False
    zones = item.hints.for_zones
    # Of several addresses only the first is meant to be used (EndpointSlice API reference).
    address = item.addresses[0]
    return Endpoint(
        address=canonical_address(address) if ":" in address else address,  # IPv4 has one spelling only
        port=port,
        protocol=protocol,
        identity=trait.identity,
        meshed=trait.meshed,
        zone=zone,
        hints=sorted({hint.name for hint in zones}) if zones else _NO_HINTS,
        node=item.node_name,
        labels=trait.labels,
        ready=ready,
        serving=ready if conditions.serving is None else conditions.serving,
        terminating=conditions.terminating,
    )


def _state(endpoint: Endpoint) -> tuple[bool, bool, bool]:
    return endpoint.ready, endpoint.serving, not endpoint.terminating


def compile_workload(index: Index, pod: Pod) -> Workload:
    """Say which ports of a Pod Services send to.

    Where several Services reach one port and disagree about its protocol, the first by NAMESPACE/NAME:PORT decides.
    """
    served: set[tuple[int, str, str]] = set()
    for slice_ in index.slices_with(pod):
        service = index.services.get(slice_.service) if slice_.service is not None else None
        if service is None:
            continue
        for port in mesh_ports(service):
            for slice_port in slice_.ports:
                if slice_port.name == port.name and slice_port.protocol == "TCP" and slice_port.port:
                    served.add((slice_port.port, str(PortKey(*service.key, port.port)), protocol_of(port)))
    return _workload(pod.service_account, tuple(sorted(served)))


@lru_cache(maxsize=MAX_SHARED)
def _workload(account: str, served: tuple[tuple[int, str, str], ...]) -> Workload:
    """Make the workload that replicas share. `served`: port, the Service's port it serves, its protocol; sorted."""
    ports: dict[int, WorkloadPort] = {}
    for number, service, protocol in served:
        if number not in ports:
            ports[number] = WorkloadPort(port=number, protocol=protocol, services=[])
        ports[number].services.append(service)
    return Workload(service_account=account, ports=list(ports.values()))
