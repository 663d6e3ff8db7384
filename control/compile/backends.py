"""What a backendRef of an HTTPRoute leads to."""

from __future__ import annotations

from typing import Literal, NamedTuple

from control.compile.filters import compile_filters
from control.index.index import Index, backend_key
from control.model.protocol import mesh_ports
from control.model.routes import BackendRef, HTTPRoute
from meshproxy.wire.names import PortKey, parse_port_key
from meshproxy.wire.resources import RouteBackend

Reason = Literal["", "RefNotPermitted", "BackendNotFound", "InvalidKind", "UnsupportedProtocol"]
_FAULTS: dict[Reason, Literal["", "backend_missing", "ref_not_permitted", "backend_unsupported"]] = {
    "": "",
    "RefNotPermitted": "ref_not_permitted",
    "BackendNotFound": "backend_missing",
    "InvalidKind": "backend_unsupported",
    "UnsupportedProtocol": "backend_unsupported",
}


class Unresolved(NamedTuple):
    """Why a backendRef cannot be used, in the words of the ResolvedRefs condition; empty when it can."""

    reason: Reason
    message: str


def compile_backend(index: Index, route: HTTPRoute, ref: BackendRef, home: str) -> RouteBackend:
    """Compile one backendRef; one that cannot be used carries the fault that its share of requests is answered with.

    `home` as in `resolve`. Raise ValueError for a filter that is not supported.
    """
    key = PortKey(*backend_key(route, ref), ref.port)
    try:
        name = str(parse_port_key(str(key)))
    except ValueError:
        name = ""  # a reference that no Service can have as its name
    fault = _FAULTS[resolve(index, route, ref, home).reason]
    return RouteBackend(
        backend=name, weight=ref.weight, filters=compile_filters(ref.filters, at_rule=False), fault=fault
    )


def resolve(index: Index, route: HTTPRoute, ref: BackendRef, home: str) -> Unresolved:
    """Say why a backendRef cannot be used at a parent of the namespace `home`.

    Whether a reference is permitted is asked first, so that nothing is told about other namespaces' Services. The
    parent's own namespace needs no permission: there the requests were going anyway.
    """
    if (ref.group, ref.kind) != ("", "Service"):
        kind = f"{ref.group}/{ref.kind}" if ref.group else ref.kind
        return Unresolved("InvalidKind", f"{kind} {ref.name} is no backend; allowed: Service")
    key = backend_key(route, ref)
    if key.namespace not in {route.metadata.namespace, home} and not index.is_granted(route, key):
        return Unresolved("RefNotPermitted", f"no ReferenceGrant in {key.namespace} permits Service {key}")
    service = index.services.get(key)
    if service is None:
        return Unresolved("BackendNotFound", f"Service {key} does not exist")
    if service.spec.type == "ExternalName":
        return Unresolved("InvalidKind", f"Service {key} is of type ExternalName, which is no backend")
    if any(port.port == ref.port for port in mesh_ports(service)):
        return Unresolved("", "")
    if any(port.port == ref.port for port in service.spec.ports):
        return Unresolved("UnsupportedProtocol", f"port {ref.port} of Service {key} is not TCP")
    ports = ", ".join(str(port.port) for port in mesh_ports(service)) or "none"
    return Unresolved("BackendNotFound", f"Service {key} has no port {ref.port}; it has {ports}")
