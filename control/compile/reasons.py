"""Why a rule of a route, or one of its backends, cannot be used: in the words of the route's status."""

from __future__ import annotations

from control.compile.backends import resolve
from control.compile.rules import compile_rule, rule_name
from control.index.index import Index
from control.model.objects import Key
from meshproxy.wire.names import PortKey


def reasons_of(index: Index, name: str, port: PortKey) -> list[str]:
    """Return a reason for each backend of a compiled rule of a Service's port, in their order; empty where it is well.

    `name` is what the rule is called (NAMESPACE/ROUTE/RULE). The default rule has no reasons.
    """
    namespace, _, rest = name.partition("/")
    owner, _, word = rest.partition("/")
    route = index.routes.get(Key(namespace, owner))
    if route is None:
        return []
    for number, rule in enumerate(route.spec.rules):
        if rule_name(route, number) == word:
            if problem := compile_rule(index, route, number, port.namespace, str(port)).problem:
                return [problem]
            return [resolve(index, route, ref, port.namespace).message for ref in rule.backend_refs]
    return []
