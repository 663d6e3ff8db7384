"""Which ports of a Service the mesh serves, and what is spoken there."""

from __future__ import annotations

from control.model.objects import Service, ServicePort

_APP_PROTOCOLS = {
    "http": "http",
    "kubernetes.io/ws": "http",
    "http2": "http2",
    "h2c": "http2",
    "kubernetes.io/h2c": "http2",
    "grpc": "grpc",
}
_NAME_PREFIXES = {"http": "http", "http2": "http2", "h2c": "http2", "grpc": "grpc"}
_OPAQUE_PREFIXES = frozenset({"tcp", "tls", "https", "mongo", "mysql", "redis", "postgres", "postgresql"})
_OPAQUE_PORTS = frozenset({25, 53, 587, 3306, 4444, 5432, 6379, 9300, 11211, 27017})
"""Where servers speak first or speak anything but HTTP, by the convention of other meshes."""


def mesh_ports(service: Service) -> list[ServicePort]:
    """Return the TCP ports, by number. A Service of type ExternalName has none: it is egress."""
    if service.spec.type == "ExternalName":
        return []
    return sorted((port for port in service.spec.ports if port.protocol == "TCP"), key=lambda port: port.port)


def protocol_of(port: ServicePort) -> str:
    """Return http, http2, grpc or tcp.

    appProtocol decides, and one that is not spoken (https, mysql, ...) is tcp. Without it the port's name up to the
    first hyphen may tell (`grpc-api`), then the number; the rest is http.
    """
    if port.app_protocol:
        return _APP_PROTOCOLS.get(port.app_protocol.lower(), "tcp")
    prefix = port.name.partition("-")[0]
    if prefix in _NAME_PREFIXES:
        return _NAME_PREFIXES[prefix]
    return "tcp" if prefix in _OPAQUE_PREFIXES or port.port in _OPAQUE_PORTS else "http"
