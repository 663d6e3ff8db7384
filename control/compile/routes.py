"""The HTTPRoutes of one Service port to `routes/...`, and what becomes of a route: its status.

A route is attached by a parentRef of kind Service in its own namespace (a producer route), to all ports or to the one
that `port` or `sectionName` names. Headless Services are parents too, since callers name them. `hostnames` have no
meaning there (GEP-1426). A parent in another namespace would make a consumer route, which is not supported yet.
"""

from __future__ import annotations

from msgspec import Struct

from control.compile.backends import resolve
from control.compile.rules import CompiledRule, compile_rule
from control.index.index import Index
from control.model.objects import Key, Service, ServicePort
from control.model.precedence import Rank, rank
from control.model.protocol import mesh_ports
from control.model.routes import HTTPRoute, ParentRef
from meshproxy.wire import resources as wire
from meshproxy.wire.names import PortKey


class Condition(Struct, frozen=True):
    """A condition as Gateway API's status has it."""

    type: str
    status: bool
    reason: str
    message: str = ""


class ParentStatus(Struct, frozen=True):
    """What became of a route at one of its parents."""

    parent: ParentRef
    conditions: list[Condition]

    @property
    def is_accepted(self) -> bool:
        return any(condition.type == "Accepted" and condition.status for condition in self.conditions)


def compile_routes(index: Index, service: Service, port: ServicePort) -> wire.Routes:
    """Merge the routes attached to one port, in the order of precedence.

    Without any, everything goes to the port's own backend; with some, what none of them matches is a 404.
    """
    rules: list[wire.Rule] = []
    ranked: list[tuple[Rank, wire.RouteMatch]] = []
    is_routed = False
    for route in index.routes_of(service.key):
        parents = [parent for parent in route.spec.parent_refs if _is_parent(route, parent, service.key)]
        if not any(_attaches(parent, port) for parent in parents):
            continue
        compiled = _compile_rules(index, route)
        if not _is_valid(compiled):
            continue
        is_routed = True
        for number, (rule, matches, _) in enumerate(compiled):
            if not matches:
                continue
            for order, match in enumerate(matches):
                placed = wire.RouteMatch(
                    rule=len(rules),
                    path=match.path,
                    headers=match.headers,
                    query_params=match.query_params,
                    method=match.method,
                )
                ranked.append((rank(route, number, order), placed))
            rules.append(rule)
    if not is_routed:
        return _default(PortKey(*service.key, port.port))
    ranked.sort(key=lambda item: item[0])
    return wire.Routes(matches=[match for _, match in ranked], rules=rules)


def route_status(index: Index, route: HTTPRoute) -> list[ParentStatus]:
    """Return the status of a route at each parent that is a Service; other parents are somebody else's to judge."""
    compiled = _compile_rules(index, route)
    return [
        ParentStatus(parent, [*_accepted(index, route, parent, compiled), _resolved(index, route)])
        for parent in route.spec.parent_refs
        if (parent.group, parent.kind) == ("", "Service")
    ]


def _default(port: PortKey) -> wire.Routes:
    rule = wire.Rule(name="default", backends=[wire.RouteBackend(backend=str(port))])
    return wire.Routes(matches=[wire.RouteMatch(rule=0)], rules=[rule])


def _compile_rules(index: Index, route: HTTPRoute) -> list[CompiledRule]:
    return [compile_rule(index, route, number) for number in range(len(route.spec.rules))]


def _is_valid(compiled: list[CompiledRule]) -> bool:
    """A route with one valid rule is accepted; its invalid rules answer 500 (`compile_rule`)."""
    return any(not rule.problem for rule in compiled)


def _is_parent(route: HTTPRoute, parent: ParentRef, service: Key) -> bool:
    return (
        (parent.group, parent.kind, parent.name) == ("", "Service", service.name)
        and (parent.namespace or route.metadata.namespace) == service.namespace
        and route.metadata.namespace == service.namespace
    )


def _attaches(parent: ParentRef, port: ServicePort) -> bool:
    return parent.port in {0, port.port} and parent.section_name in {"", port.name}


def _accepted(index: Index, route: HTTPRoute, parent: ParentRef, compiled: list[CompiledRule]) -> list[Condition]:
    key = Key(parent.namespace or route.metadata.namespace, parent.name)
    if key.namespace != route.metadata.namespace:
        message = f"Service {key} is in another namespace; consumer routes are not supported"
        return [Condition("Accepted", False, "UnsupportedValue", message)]
    if message := _no_parent(index.services.get(key), key, parent):
        return [Condition("Accepted", False, "NoMatchingParent", message)]
    problems = [f"rule {number}: {rule.problem}" for number, rule in enumerate(compiled) if rule.problem]
    if not _is_valid(compiled):
        return [Condition("Accepted", False, "UnsupportedValue", "; ".join(problems))]
    accepted = Condition("Accepted", True, "Accepted")
    if not problems:
        return [accepted]
    message = f"Dropped Rule(s), whose requests are answered 500: {'; '.join(problems)}"
    return [accepted, Condition("PartiallyInvalid", True, "UnsupportedValue", message)]


def _no_parent(service: Service | None, key: Key, parent: ParentRef) -> str:
    if service is None:
        return f"Service {key} does not exist"
    if service.spec.type == "ExternalName":
        return f"Service {key} is of type ExternalName, to which no route can attach"
    ports = mesh_ports(service)
    if any(_attaches(parent, port) for port in ports):
        return ""
    allowed = ", ".join(f"{port.port} ({port.name})" if port.name else str(port.port) for port in ports) or "none"
    return f"Service {key} has no such TCP port; it has {allowed}"


def _resolved(index: Index, route: HTTPRoute) -> Condition:
    refs = [ref for rule in route.spec.rules for ref in rule.backend_refs]
    failures = [failure for ref in refs if (failure := resolve(index, route, ref)).reason]
    if not failures:
        return Condition("ResolvedRefs", True, "ResolvedRefs")
    messages = dict.fromkeys(failure.message for failure in failures)
    return Condition("ResolvedRefs", False, failures[0].reason, "; ".join(messages))
