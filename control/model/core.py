"""What Services and EndpointSlices must hold, as an API server checks it; beyond, or in place of, their schemas."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from control.model.objects import EndpointSlice, Service
from control.model.schema import Flaw, shown
from meshproxy.wire.address import address_problem

MAX_PORT = 65_535
MAX_ADDRESS_CHARS = 45
"""Of IPv6's longest form: what is longer is no address, and is not remembered."""


def check_service(service: Service) -> list[Flaw]:
    """Return what is wrong with a Service whose types are right."""
    flaws: list[Flaw] = []
    ports = service.spec.ports
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for i, port in enumerate(ports):
        path = f"spec.ports[{i}]"
        if not 1 <= port.port <= MAX_PORT:
            flaws.append(Flaw(f"{path}.port", f"{port.port} is no port; allowed: 1 to {MAX_PORT}"))
        if not port.name and len(ports) > 1:
            flaws.append(Flaw(f"{path}.name", "is required where there are several ports"))
        if port.name and port.name in names:
            flaws.append(Flaw(f"{path}.name", f"{shown(port.name)} names another port too"))
        if (port.port, port.protocol) in numbers:
            flaws.append(Flaw(f"{path}.port", f"{port.port}/{port.protocol} stands twice"))
        names.add(port.name)
        numbers.add((port.port, port.protocol))
    return flaws


def check_endpoint_slice(slice_: EndpointSlice) -> list[Flaw]:
    """Return what is wrong with an EndpointSlice whose types are right.

    Loopback and link-local addresses are allowed here, though an API server refuses them: without a cluster they are
    where the endpoints are.
    """
    return [*check_slice_ports(slice_), *(flaw for flaws in check_endpoints(slice_).values() for flaw in flaws)]


def check_slice_ports(slice_: EndpointSlice) -> list[Flaw]:
    """Return what is wrong with a slice's ports."""
    flaws: list[Flaw] = []
    names: set[str] = set()
    for i, port in enumerate(slice_.ports):
        if not 0 <= port.port <= MAX_PORT:
            flaws.append(Flaw(f"ports[{i}].port", f"{port.port} is no port; allowed: 1 to {MAX_PORT}"))
        if port.name in names:
            flaws.append(Flaw(f"ports[{i}].name", f"{shown(port.name)} names another port too"))
        names.add(port.name)
    return flaws


def check_endpoints(slice_: EndpointSlice) -> dict[int, list[Flaw]]:
    """Return what is wrong with a slice's endpoints, by their index; of a slice of names they are not looked at."""
    flaws: dict[int, list[Flaw]] = {}
    if slice_.address_type == "FQDN":
        return flaws
    for i, endpoint in enumerate(slice_.endpoints):
        for j, address in enumerate(endpoint.addresses):
            look = _recall_problem if len(address) <= MAX_ADDRESS_CHARS else _address_problem
            if problem := look(address, slice_.address_type):
                flaws.setdefault(i, []).append(Flaw(f"endpoints[{i}].addresses[{j}]", problem))
    return flaws


def _address_problem(address: str, family: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return address_problem(address)
    if family != f"IPv{ip.version}":
        return f"{address} is IPv{ip.version}; allowed: {family}, the slice's addressType"
    return address_problem(str(ip))


_recall_problem = lru_cache(maxsize=16_384)(_address_problem)
"""Most endpoints of a slice are those of the version before it."""
