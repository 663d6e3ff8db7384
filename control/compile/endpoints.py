"""EndpointSlices to `endpoints/...` and `workload/...`.

Selectors are the cluster's business: a Service without an EndpointSlice has no endpoints.
"""

from __future__ import annotations

from collections.abc import Iterator

from control.index.index import Index
from control.model.objects import SIDECAR_LABEL, EndpointSlice, Key, Pod, Service, ServicePort, SliceEndpoint
from control.model.protocol import mesh_ports, protocol_of
from meshproxy.wire.address import canonical_address, endpoint_order, spiffe_id
from meshproxy.wire.names import PortKey
from meshproxy.wire.resources import Endpoint, Endpoints, Workload, WorkloadPort

_HIDDEN_LABELS = frozenset({"pod-template-hash", "controller-revision-hash", "pod-template-generation", SIDECAR_LABEL})
"""Labels that change with every rollout and say nothing about an endpoint, and the one that `meshed` stands for."""


def compile_endpoints(index: Index, service: Service, port: ServicePort, trust_domain: str) -> Endpoints:
    """Gather a port's endpoints from all slices of its Service.

    The slices' ports are found by the name of the Service's port. An address that stands in several slices counts
    once, with its best state. A Pod with addresses of both families is one endpoint, of the Service's first family.
    """
    found: dict[tuple[str, int], Endpoint] = {}
    families: dict[tuple[Key, int], str] = {}
    protocol = protocol_of(port)
    for slice_, item, number in _in_order(index, service, port.name):
        pod_key = slice_.pod_of(item)
        if pod_key is not None and families.setdefault((pod_key, number), slice_.address_type) != slice_.address_type:
            continue
        pod = index.pods.get(pod_key) if pod_key is not None else None
        endpoint = _endpoint(item, pod, number, protocol, trust_domain)
        place = endpoint.address, endpoint.port
        if place not in found or _state(endpoint) > _state(found[place]):
            found[place] = endpoint
    return Endpoints(endpoints=sorted(found.values(), key=lambda item: endpoint_order(item.address, item.port)))


def _in_order(index: Index, service: Service, port_name: str) -> Iterator[tuple[EndpointSlice, SliceEndpoint, int]]:
    families = [*service.spec.ip_families, "IPv4", "IPv6"]
    slices = [slice_ for slice_ in index.slices_of(service.key) if slice_.address_type in families]
    for slice_ in sorted(slices, key=lambda slice_: families.index(slice_.address_type)):
        for port in slice_.ports:
            if port.name == port_name and port.protocol == "TCP" and port.port:
                for item in slice_.endpoints:
                    yield slice_, item, port.port


def _endpoint(item: SliceEndpoint, pod: Pod | None, port: int, protocol: str, trust_domain: str) -> Endpoint:
    conditions = item.conditions
    ready = conditions.ready is not False
    meshed = pod is not None and pod.is_meshed
    labels = pod.metadata.labels if pod is not None else {}
    zones = item.hints.for_zones
    return Endpoint(
        # Of several addresses only the first is meant to be used (EndpointSlice API reference).
        address=canonical_address(item.addresses[0]),
        port=port,
        protocol=protocol,
        identity=spiffe_id(trust_domain, pod.metadata.namespace, pod.service_account) if pod and meshed else "",
        meshed=meshed,
        zone=item.zone,
        hints=sorted({hint.name for hint in zones}) if zones else [],
        node=item.node_name,
        labels={name: labels[name] for name in sorted(labels) if name not in _HIDDEN_LABELS},
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
    found: dict[int, dict[str, str]] = {}
    for slice_ in index.slices_with(pod.key):
        service = index.services.get(slice_.service) if slice_.service is not None else None
        if service is None:
            continue
        for port in mesh_ports(service):
            for slice_port in slice_.ports:
                if slice_port.name == port.name and slice_port.protocol == "TCP" and slice_port.port:
                    served = found.setdefault(slice_port.port, {})
                    served[str(PortKey(*service.key, port.port))] = protocol_of(port)
    ports = [
        WorkloadPort(port=number, protocol=served[min(served)], services=sorted(served))
        for number, served in sorted(found.items())
    ]
    return Workload(service_account=pod.service_account, ports=ports)
