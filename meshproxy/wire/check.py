"""The consistency check: what a sidecar may rely on in every resource that it has taken.

`check_resource` looks at one resource alone, `check_links` at what it refers to. Regular
expressions and the legality of header modifiers are judged where they are compiled (`meshproxy.policy.route`).
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from meshproxy.wire import names
from meshproxy.wire.address import address_problem, endpoint_order, is_spiffe_id
from meshproxy.wire.bounds import (
    MAX_COUNT,
    MAX_WEIGHT,
    Found,
    check_duration,
    check_port,
    check_protocol,
    check_range,
    check_rising,
)
from meshproxy.wire.problem import Problem
from meshproxy.wire.resources import Backend, Endpoint, Endpoints, Resource, Routes, Service, Workload
from meshproxy.wire.rules import check_routes


def check_resource(name: str, resource: Resource) -> list[Problem]:
    """Return what is wrong with one resource taken alone."""
    found: Found = []
    try:
        kind = names.parse(name).kind
    except ValueError as error:
        return [Problem(name[: names.MAX_CHARS], "", str(error))]
    match resource:
        case _ if names.TYPES[kind] is not type(resource):
            found.append(("", f"the name asks for {names.TYPES[kind].__name__}, found {type(resource).__name__}"))
        case Routes():
            check_routes(found, resource)
        case Backend():
            _check_backend(found, resource)
        case Endpoints():
            _check_endpoints(found, resource)
        case Service():
            _check_service(found, resource)
        case Workload():
            _check_workload(found, resource)
    return [Problem(name, path, message) for path, message in found]


def check_links(name: str, resource: Resource, present: AbstractSet[str]) -> list[Problem]:
    """Return what a resource refers to and is not among the names `present`. The resource itself has been checked.

    Every port of a Service has routes, backend and endpoints; every backend that a route can send to is there with its
    endpoints.
    """
    problems: list[Problem] = []
    match resource:
        case Service():
            _, namespace, service, _ = names.parse(name)
            for i, port in enumerate(resource.ports):
                key = names.PortKey(namespace, service, port.port)
                _need(problems, present, name, f"ports[{i}]", key, ("routes", "backend", "endpoints"))
        case Routes():
            for i, rule in enumerate(resource.rules):
                for j, backend in enumerate(rule.backends):
                    if not backend.fault:
                        key = names.parse_port_key(backend.backend)
                        _need(problems, present, name, f"rules[{i}].backends[{j}]", key, ("backend", "endpoints"))
        case Backend():
            _need(problems, present, name, "", names.PortKey(*names.parse(name)[1:]), ("endpoints",))
    return problems


def _need(
    problems: list[Problem], present: AbstractSet[str], name: str, path: str, key: names.PortKey, kinds: Iterable[str]
) -> None:
    missing = [wanted for kind in kinds if (wanted := key.name(kind)) not in present]
    problems.extend(Problem(name, path, f"{wanted} is missing") for wanted in missing)


def _check_endpoints(found: Found, resource: Endpoints) -> None:
    order: list[tuple[int, int, int]] = []
    for i, endpoint in enumerate(resource.endpoints):
        path = f"endpoints[{i}]"
        if message := address_problem(endpoint.address):
            found.append((f"{path}.address", message))
        else:
            order.append(endpoint_order(endpoint.address, endpoint.port))
        _check_endpoint(found, path, endpoint)
    if len(order) == len(resource.endpoints):
        check_rising(found, "endpoints", order, "address and port")


def _check_endpoint(found: Found, path: str, endpoint: Endpoint) -> None:
    check_port(found, f"{path}.port", endpoint.port)
    check_protocol(found, f"{path}.protocol", endpoint.protocol)
    check_range(found, f"{path}.weight", endpoint.weight, 0, MAX_WEIGHT)
    if endpoint.meshed != bool(endpoint.identity):
        found.append((f"{path}.identity", "is what a meshed endpoint has, and no other"))
    if endpoint.identity and not is_spiffe_id(endpoint.identity):
        found.append(
            (f"{path}.identity", f"{endpoint.identity[:300]!r} is none; allowed: spiffe://TRUST_DOMAIN/ns/NS/sa/SA")
        )


def _check_backend(found: Found, resource: Backend) -> None:
    check_protocol(found, "protocol", resource.protocol)
    positive = (
        ("connect_timeout_s", resource.connect_timeout_s),
        ("balance.initial_s", resource.balance.initial_s),
        ("balance.decay_s", resource.balance.decay_s),
        ("outlier.base_s", resource.outlier.base_s),
        ("outlier.max_s", resource.outlier.max_s),
        ("retry_budget.window_s", resource.retry_budget.window_s),
        ("pool.max_age_s", resource.pool.max_age_s),
    )
    for path, value in positive:
        check_duration(found, path, value)
        if value == 0:
            found.append((path, "must be above 0"))
    check_duration(found, "pool.idle_s", resource.pool.idle_s)
    counts = (
        ("breaker.max_connections", resource.breaker.max_connections),
        ("breaker.max_pending", resource.breaker.max_pending),
        ("breaker.max_requests", resource.breaker.max_requests),
        ("outlier.consecutive", resource.outlier.consecutive),
    )
    for path, count in counts:
        check_range(found, path, count, 1, MAX_COUNT)
    check_range(found, "outlier.max_ejected_percent", resource.outlier.max_ejected_percent, 0, 100)
    check_range(found, "retry_budget.percent", resource.retry_budget.percent, 0, 1000)
    check_range(found, "retry_budget.min_per_s", resource.retry_budget.min_per_s, 0, MAX_COUNT)
    if resource.outlier.max_s < resource.outlier.base_s:
        found.append(("outlier.max_s", "must not be below base_s"))


def _check_service(found: Found, resource: Service) -> None:
    for i, port in enumerate(resource.ports):
        check_port(found, f"ports[{i}].port", port.port)
        check_protocol(found, f"ports[{i}].protocol", port.protocol)
        if port.name and not names.is_label(port.name):
            found.append((f"ports[{i}].name", f"{port.name[:64]!r} is no RFC 1123 label"))
    check_rising(found, "ports", [port.port for port in resource.ports], "number")
    given = [port.name for port in resource.ports if port.name]
    if len(set(given)) != len(given):
        found.append(("ports", "two have the same name"))


def _check_workload(found: Found, resource: Workload) -> None:
    if not names.is_subdomain(resource.service_account):
        found.append(("service_account", f"{resource.service_account[:253]!r} is no name of a ServiceAccount"))
    for i, port in enumerate(resource.ports):
        check_port(found, f"ports[{i}].port", port.port)
        check_protocol(found, f"ports[{i}].protocol", port.protocol)
        for j, service in enumerate(port.services):
            try:
                names.parse_port_key(service)
            except ValueError as error:
                found.append((f"ports[{i}].services[{j}]", str(error)))
        check_rising(found, f"ports[{i}].services", port.services, "name")
    check_rising(found, "ports", [port.port for port in resource.ports], "number")
