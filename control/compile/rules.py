"""One rule of an HTTPRoute to the wire, or to the reason why it cannot be carried out."""

from __future__ import annotations

from typing import NamedTuple

from control.compile.backends import compile_backend
from control.compile.filters import compile_filters
from control.index.index import Index
from control.model.duration import parse_duration_s
from control.model.routes import HTTPRoute, Match, Rule, StringMatch
from meshproxy.policy.route import RouteTable
from meshproxy.wire import resources as wire
from meshproxy.wire.rules import check_routes


class CompiledRule(NamedTuple):
    """`matches` belong to rule 0, in the order of the route; empty when the rule is dropped. `problem`: why invalid."""

    rule: wire.Rule
    matches: list[wire.RouteMatch]
    problem: str


def compile_rule(index: Index, route: HTTPRoute, number: int, home: str, own: str = "") -> CompiledRule:
    """Compile one rule for a parent of the namespace `home`, whose port is `own` (NS/NAME:PORT; empty: any of them).

    A rule that names no backend sends to the parent itself, as the Gateway API's mesh conformance suite asks for
    (MeshConsumerRoute). Where no port is given that is not known, and stands as missing.

    A rule that cannot be carried out (a filter that is not supported, a header that must not be changed) keeps its
    matches and answers 500, because what it says may be a protection, and without it its requests would fall to a
    wider rule. Only a rule whose matches cannot be understood is dropped.
    """
    rule = route.spec.rules[number]
    name = f"{route.key}/{rule_name(route, number)}"
    refusal = wire.Rule(name=name, backends=[wire.RouteBackend(fault="backend_unsupported")])
    matches = [_match(match) for match in rule.conditions]
    try:
        compiled = _rule(index, route, rule, (name, home, own))
        problem = _problem(compiled, matches)
    except ValueError as error:
        problem = str(error)
    else:
        if not problem:
            return CompiledRule(compiled, matches, "")
    if misunderstood := _problem(refusal, matches):
        return CompiledRule(refusal, [], misunderstood)
    return CompiledRule(refusal, matches, problem)


def rule_name(route: HTTPRoute, number: int) -> str:
    """Return what a rule is called in metrics and logs: its name, else its index; unique within the route."""
    names = {rule.name for rule in route.spec.rules if rule.name}
    name = route.spec.rules[number].name
    if not name:
        name = str(number)
        while name in names:
            name = f"rule-{name}"
    return name


def _problem(rule: wire.Rule, matches: list[wire.RouteMatch]) -> str:
    """Ask those who will read it: the check of the wire, and the sidecar's own compiler."""
    routes = wire.Routes(matches=matches, rules=[rule])
    found: list[tuple[str, str]] = []
    check_routes(found, routes)
    if found:
        return f"{found[0][0]}: {found[0][1]}"
    try:
        RouteTable(routes)
    except ValueError as error:
        return str(error)
    return ""


def _rule(index: Index, route: HTTPRoute, rule: Rule, place: tuple[str, str, str]) -> wire.Rule:
    name, home, own = place
    if rule.session_persistence is not None:
        raise ValueError("sessionPersistence is not supported")
    filters = compile_filters(rule.filters, at_rule=True)
    backends = [compile_backend(index, route, ref, home) for ref in rule.backend_refs]
    redirects = any(isinstance(filter_, wire.RequestRedirect) for filter_ in filters)
    if not redirects and not any(backend.weight for backend in backends):
        if own and not rule.backend_refs:
            backends.append(wire.RouteBackend(backend=own))
        else:
            # Nothing that could be chosen: the specification asks for 500.
            backends.append(wire.RouteBackend(fault="backend_missing"))
    return wire.Rule(
        name=name,
        filters=filters,
        backends=backends,
        timeouts=wire.Timeouts(
            request_s=parse_duration_s(rule.timeouts.request),
            backend_request_s=parse_duration_s(rule.timeouts.backend_request),
        ),
        retry=None
        if rule.retry is None
        else wire.Retry(
            codes=sorted(set(rule.retry.codes)),
            attempts=rule.retry.attempts,
            backoff_s=parse_duration_s(rule.retry.backoff),
        ),
    )


def _match(match: Match) -> wire.RouteMatch:
    return wire.RouteMatch(
        rule=0,
        path=_path(match.path.type, match.path.value),
        headers=_strings(match.headers, fold=True),
        query_params=_strings(match.query_params, fold=False),
        method=match.method,
    )


def _path(kind: str, value: str) -> wire.PathMatch:
    match kind:
        case "Exact":
            return wire.PathMatch(type="Exact", value=value)
        case "RegularExpression":
            return wire.PathMatch(type="RegularExpression", value=value)
    return wire.PathMatch(value=value)


def _strings(matches: list[StringMatch], *, fold: bool) -> list[wire.StringMatch]:
    """Compile matches on headers (`fold`: names in lower case) or parameters; of equal names the first counts."""
    first: dict[str, wire.StringMatch] = {}
    for match in matches:
        name = match.name.lower() if fold else match.name
        if match.type == "RegularExpression":
            first.setdefault(name, wire.StringMatch(name=name, value=match.value, type="RegularExpression"))
        else:
            first.setdefault(name, wire.StringMatch(name=name, value=match.value))
    return list(first.values())
