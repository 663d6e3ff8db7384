"""Pages of HTTPRoutes and ReferenceGrants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from control.cli.screen import Columns, Page, say
from control.cli.shift import percents
from control.model.objects import Key, Service
from control.model.protocol import mesh_ports
from control.model.routes import BackendRef, Filter, HTTPRoute, Match, ReferenceGrant, Rule


def describe_route(page: Page, route: HTTPRoute, status: dict[str, Any], services: Mapping[Key, Service]) -> None:
    """`services`: those of its backends that there are."""
    own = route.metadata.namespace
    page.fields("Hostnames", [f"{name} (ignored at a Service)" for name in route.spec.hostnames])
    parents = [_parent(parent, own) for parent in msgspec.to_builtins(route.spec.parent_refs)]
    page.fields("Parents", parents)
    for i, rule in enumerate(route.spec.rules):
        say()
        page.field(f"Rule {i}", rule.name or "(no name)")
        _print_rule(page, rule, own, services)
    say()
    if not status.get("parents"):
        page.field("Status", "none known; meshctl check tells what is wrong with routes")
    for parent in status.get("parents") or ():
        page.field("Status at", _parent(parent.get("parentRef") or {}, own))
        page.field("Said by", str(parent.get("controllerName") or ""), 2)
        rows = [
            (str(item.get("type")), str(item.get("status")), str(item.get("reason")), str(item.get("message") or ""))
            for item in parent.get("conditions") or ()
        ]
        Columns(2).print(rows, ("CONDITION", "STATUS", "REASON", "MESSAGE"))


def describe_grant(page: Page, grant: ReferenceGrant, routes: Iterable[HTTPRoute]) -> None:
    own = grant.metadata.namespace
    page.fields("From", [f"{item.kind} in namespace {item.namespace}" for item in grant.spec.from_])
    page.fields("To", [f"{item.kind} {own}/{item.name or '(any)'}" for item in grant.spec.to])
    sources = {item.namespace for item in grant.spec.from_ if item.kind == "HTTPRoute"}
    names = {item.name for item in grant.spec.to if item.kind == "Service"}
    rows = [
        (str(route.key), rule.name or str(i), f"{own}/{ref.name}")
        for route in routes
        if route.metadata.namespace in sources
        for i, rule in enumerate(route.spec.rules)
        for ref in rule.backend_refs
        if ref.namespace == own and (ref.name in names or "" in names)
    ]
    page.section("Used by", ("HTTPROUTE", "RULE", "BACKEND"), rows)


def _print_rule(page: Page, rule: Rule, own: str, services: Mapping[Key, Service]) -> None:
    for i, match in enumerate(rule.conditions):
        page.field("or" if i else "Matches", match_text(match), 2)
    for item in rule.filters:
        page.field("Filter", filter_text(item), 2)
    times = [("request", rule.timeouts.request), ("each attempt", rule.timeouts.backend_request)]
    if limits := ", ".join(f"{name} {time}" for name, time in times if time != "0s"):
        page.field("Timeouts", limits, 2)
    if rule.retry is not None:
        codes = f" of {', '.join(map(str, rule.retry.codes))}" if rule.retry.codes else ""
        page.field("Retry", f"{rule.retry.attempts} times{codes}, backoff {rule.retry.backoff}", 2)
    if not rule.backend_refs:
        redirects = any(item.type == "RequestRedirect" for item in rule.filters)
        page.field("Backends", "none" if redirects else "none: answered 500", 2)
        return
    shares = percents([ref.weight for ref in rule.backend_refs])
    rows = [_backend(ref, share, own, services) for ref, share in zip(rule.backend_refs, shares, strict=True)]
    Columns(2).print(rows, ("BACKEND", "WEIGHT", "SHARE", "NOTE"))


def _backend(ref: BackendRef, share: str, own: str, services: Mapping[Key, Service]) -> tuple[str, str, str, str]:
    key = Key(ref.namespace or own, ref.name)
    notes = [filter_text(item) for item in ref.filters]
    if ref.kind != "Service" or ref.group:
        notes.append(f"kind {ref.kind} is not supported")
    elif key not in services:
        notes.append("no such Service")
    elif services[key].spec.type == "ExternalName":
        notes.append("type ExternalName is not supported")
    elif ref.port not in {port.port for port in mesh_ports(services[key])}:
        notes.append("no such TCP port")
    name = ref.name if key.namespace == own else str(key)
    return f"{name}:{ref.port}", str(ref.weight), share, "; ".join(notes)


def match_text(match: Match) -> str:
    """Return a match in words: `GET, path prefix /pay, header x-canary = 1`."""
    words = {"PathPrefix": "path prefix", "Exact": "path", "RegularExpression": "path like"}
    parts = [match.method] if match.method else []
    parts.append(f"{words.get(match.path.type, match.path.type)} {match.path.value}")
    for name, conditions in (("header", match.headers), ("query", match.query_params)):
        parts += [f"{name} {item.name} {'=' if item.type == 'Exact' else '~'} {item.value}" for item in conditions]
    return ", ".join(parts)


def filter_text(item: Filter) -> str:
    """Return a filter in words: its type, and its settings as they are written."""
    fields = msgspec.to_builtins(item)
    settings = next((value for name, value in fields.items() if name != "type" and value is not None), None)
    return f"{item.type} {', '.join(_settings(settings))}".strip()


def _settings(value: Any, name: str = "") -> Iterator[str]:
    """Yield what is set, as `path.replacePrefixMatch=/`; what has its zero value is left out."""
    if isinstance(value, dict):
        if set(value) == {"name", "value"}:
            yield f"{name}: {value['name']}={value['value']}"
            return
        for key, item in value.items():
            yield from _settings(item, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for item in value:
            yield from _settings(item, name)
    elif value not in (None, "", 0):
        yield f"{name}={value}"


def _parent(ref: dict[str, Any], own: str) -> str:
    place = f"{ref.get('kind') or 'Gateway'} {ref.get('namespace') or own}/{ref.get('name')}"
    section = f" section {ref['sectionName']}" if ref.get("sectionName") else ""
    port = f" port {ref['port']}" if ref.get("port") else ""
    return place + port + section
