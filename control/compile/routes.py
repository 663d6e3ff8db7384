"""The HTTPRoutes of one Service port to `routes/...`.

A route is attached by a parentRef of kind Service, to all ports or to the one that `port` or `sectionName` names.
Headless Services are parents too, since callers name them. `hostnames` have no meaning there.

In its Service's own namespace it is a producer route and applies to all callers. In another namespace it is a consumer
route: it applies to the callers of its own namespace alone, and there replaces all producer routes of the port. Only
routes of one kind and namespace are merged (Gateway API GEP-1294, earlier 1426, "Namespace boundaries" and "Multiple
routes for a Service"; Linkerd and Istio do the same: linkerd2 pull request 11118, istio pull request 45065).

Cross-namespace backendRefs of mesh routes need no ReferenceGrant there. Here they do, so that no namespace takes
another's endpoints into its own routes unasked (Kuma does likewise); a consumer route may refer to its parent's
namespace without one, as the conformance suite's does.
"""

from __future__ import annotations

from control.compile.rules import CompiledRule, compile_rule
from control.index.index import Index
from control.model.objects import Service, ServicePort
from control.model.precedence import Rank, rank
from control.model.routes import HTTPRoute, ParentRef
from meshproxy.wire import resources as wire
from meshproxy.wire.names import PortKey

DEFAULT_RULE = "default"
"""The rule of a port without routes. Rules of routes have slashes in their names."""


def compile_routes(index: Index, service: Service, port: ServicePort) -> dict[str, wire.Routes]:
    """Return the routes of one port: for everybody (key empty), and for each namespace with consumer routes of its own.

    Without producer routes everything goes to the port's own backend; with some, what none of them matches is a 404.
    """
    by_consumer: dict[str, list[HTTPRoute]] = {"": []}
    for route in index.routes_of(service.key):
        if any(_names(route, parent, service) and attaches(parent, port) for parent in route.spec.parent_refs):
            namespace = route.metadata.namespace
            by_consumer.setdefault("" if namespace == service.key.namespace else namespace, []).append(route)
    key = PortKey(*service.key, port.port)
    found = {consumer: _merge(index, routes, key) for consumer, routes in by_consumer.items()}
    found[""] = found[""] or _default(key)
    return {consumer: routes for consumer, routes in found.items() if routes is not None}


def compile_rules(index: Index, route: HTTPRoute, home: str, own: str = "") -> list[CompiledRule]:
    """Compile all rules of a route for its parents in the namespace `home`, or for the port `own` of one of them."""
    return [compile_rule(index, route, number, home, own) for number in range(len(route.spec.rules))]


def is_valid(compiled: list[CompiledRule]) -> bool:
    """A route with one valid rule is accepted; its invalid rules answer 500 (`compile_rule`)."""
    return any(not rule.problem for rule in compiled)


def attaches(parent: ParentRef, port: ServicePort) -> bool:
    """Tell whether a parentRef to a port's Service means this port."""
    return parent.port in {0, port.port} and parent.section_name in {"", port.name}


def _merge(index: Index, routes: list[HTTPRoute], port: PortKey) -> wire.Routes | None:
    """Merge a port's routes in the order of precedence; None when none of them is valid."""
    rules: list[wire.Rule] = []
    ranked: list[tuple[Rank, wire.RouteMatch]] = []
    is_routed = False
    for route in routes:
        compiled = compile_rules(index, route, port.namespace, str(port))
        if not is_valid(compiled):
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
        return None
    ranked.sort(key=lambda item: item[0])
    return wire.Routes(matches=[match for _, match in ranked], rules=rules)


def _default(port: PortKey) -> wire.Routes:
    rule = wire.Rule(name=DEFAULT_RULE, backends=[wire.RouteBackend(backend=str(port))])
    return wire.Routes(matches=[wire.RouteMatch(rule=0)], rules=[rule])


def _names(route: HTTPRoute, parent: ParentRef, service: Service) -> bool:
    return (parent.group, parent.kind, parent.namespace or route.metadata.namespace, parent.name) == (
        "",
        "Service",
        *service.key,
    )
