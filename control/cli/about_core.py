"""Pages of Services, EndpointSlices and Pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from control.cli.screen import Page
from control.model.objects import Conditions, EndpointSlice, Key, Pod, Service, SliceEndpoint
from control.model.protocol import mesh_ports, protocol_of
from control.model.routes import HTTPRoute
from meshproxy.wire.address import format_place

_ENDPOINT_HEADER = ("ADDRESS", "STATE", "MESHED", "POD", "NODE", "ZONE")


def describe_service(
    page: Page,
    service: Service,
    slices: Sequence[EndpointSlice],
    pods: Mapping[Key, Pod],
    routes: Iterable[HTTPRoute],
) -> None:
    page.field("Type", service.spec.type)
    served = mesh_ports(service)
    rows = [
        (str(port.port), port.name, port.app_protocol, port.protocol, protocol_of(port) if port in served else "no")
        for port in service.spec.ports
    ]
    page.section("Ports", ("PORT", "NAME", "APP PROTOCOL", "PROTOCOL", "SERVED AS"), rows)
    found = [(slice_, endpoint) for slice_ in slices for endpoint in slice_.endpoints]
    endpoints = [row for slice_, endpoint in found for row in _endpoint_rows(slice_, endpoint, pods)]
    none = "none: every request is answered 503" if served else f"none: {_unserved(service)}"
    page.section("Endpoints", _ENDPOINT_HEADER, endpoints, none)
    uses = [row for route in routes for row in _uses(service.key, route)]
    none = "none: all requests go to its own endpoints" if served else "none"
    page.section("Routes", ("HTTPROUTE", "USE", "RULES"), uses, none)


def _unserved(service: Service) -> str:
    what = "type ExternalName" if service.spec.type == "ExternalName" else "Service without a TCP port"
    return f"the mesh serves no {what}, and answers 404"


def describe_slice(page: Page, slice_: EndpointSlice, pods: Mapping[Key, Pod]) -> None:
    page.field("Service", str(slice_.service) if slice_.service else "none: it has no label kubernetes.io/service-name")
    page.field("Address type", slice_.address_type)
    page.fields("Ports", [f"{port.port} {port.name} {port.protocol}".replace("  ", " ") for port in slice_.ports])
    rows = [row for endpoint in slice_.endpoints for row in _endpoint_rows(slice_, endpoint, pods)]
    page.section("Endpoints", _ENDPOINT_HEADER, rows)


def describe_pod(page: Page, pod: Pod, slices: Iterable[EndpointSlice]) -> None:
    page.field("Service account", pod.service_account)
    page.field("Meshed", "yes" if pod.is_meshed else "no")
    rows = [
        (slice_.metadata.name, str(slice_.service or "-"), ", ".join(endpoint.addresses), state(endpoint.conditions))
        for slice_ in slices
        for endpoint in slice_.endpoints
        if (ref := slice_.pod_of(endpoint)) is not None and ref.key == pod.key
    ]
    page.section("Serves", ("ENDPOINTSLICE", "SERVICE", "ADDRESS", "STATE"), rows, "no Service")


def state(conditions: Conditions) -> str:
    """Say an endpoint's conditions in a word or two; what is unset follows EndpointSlice's reference."""
    ready = conditions.ready is not False
    serving = ready if conditions.serving is None else conditions.serving
    if conditions.terminating:
        return "terminating, serving" if serving else "terminating"
    return "ready" if ready else "serving, not ready" if serving else "unready"


def _endpoint_rows(slice_: EndpointSlice, endpoint: SliceEndpoint, pods: Mapping[Key, Pod]) -> list[tuple[str, ...]]:
    ref = slice_.pod_of(endpoint)
    pod = pods.get(ref.key) if ref is not None else None
    meshed = "yes" if pod is not None and pod.is_meshed else "no"
    name = ref.name if ref is not None else ""
    missing = ""
    if ref is not None and pod is None:
        missing = " (not known)"
    elif ref is not None and pod is not None and ref.uid and pod.metadata.uid and ref.uid != pod.metadata.uid:
        # Of a cluster such an endpoint is withheld; our own store gives objects uids of its own.
        missing = " (of another uid)"
    facts = (state(endpoint.conditions), meshed, name + missing, endpoint.node_name, endpoint.zone)
    ports = [port.port for port in slice_.ports] or [0]
    places = [format_place((address, port)) if port else address for address in endpoint.addresses for port in ports]
    return [(place, *facts) for place in places]


def _uses(service: Key, route: HTTPRoute) -> Iterable[tuple[str, str, str]]:
    """Yield how a route uses a Service: as what it is attached to, as a backend."""
    own = route.metadata.namespace
    for parent in route.spec.parent_refs:
        if parent.kind == "Service" and not parent.group and Key(parent.namespace or own, parent.name) == service:
            yield str(route.key), f"parent{f' port {parent.port}' if parent.port else ''}", "all"
    rules = [
        rule.name or str(i)
        for i, rule in enumerate(route.spec.rules)
        if any(ref.kind == "Service" and Key(ref.namespace or own, ref.name) == service for ref in rule.backend_refs)
    ]
    if rules:
        yield str(route.key), "backend", ", ".join(rules)
