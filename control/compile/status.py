"""What becomes of a route: the conditions at each of its parents, and the `status` that is written for them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from control.compile.backends import resolve
from control.compile.routes import attaches, compile_rules, is_valid
from control.compile.rules import CompiledRule
from control.index.index import Index
from control.model.objects import Key, Service
from control.model.protocol import mesh_ports
from control.model.routes import HTTPRoute, ParentRef
from control.model.schema import JSON

CONTROLLER = "meshproxy.io/mesh-controller"
"""Whose parents these are: entries of other controllers are theirs and stay."""
MAX_PARENTS = 32
MAX_MESSAGE_CHARS = 32768
"""Both as the HTTPRoute's schema has them."""


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


def route_status(index: Index, route: HTTPRoute) -> list[ParentStatus]:
    """Return the status of a route at each parent that is a Service; other parents are somebody else's to judge."""
    compiled: dict[str, list[CompiledRule]] = {}
    statuses = []
    for parent in route.spec.parent_refs:
        if (parent.group, parent.kind) == ("", "Service"):
            key = Key(parent.namespace or route.metadata.namespace, parent.name)
            if key.namespace not in compiled:
                compiled[key.namespace] = compile_rules(index, route, key.namespace)
            accepted = _accepted(index, key, parent, compiled[key.namespace])
            statuses.append(ParentStatus(parent, [*accepted, _resolved(index, route, key.namespace)]))
    return statuses


def status_of(index: Index, route: HTTPRoute, former: JSON, now: str) -> dict[str, Any]:
    """Return the route's whole `status`: our parents as they are now, and those of other controllers as they stand.

    `former` is the status so far (None: none), `now` an RFC 3339 time. A condition keeps its lastTransitionTime for as
    long as its `status` stays (Kubernetes API conventions), so that equal outcomes give an equal status.
    """
    entries = former.get("parents") if isinstance(former, dict) else None
    entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    mine = [entry for entry in entries if entry.get("controllerName") == CONTROLLER]
    others = [entry for entry in entries if entry.get("controllerName") != CONTROLLER]
    parents = [_parent(status, route.metadata.generation, mine, now) for status in route_status(index, route)]
    return {"parents": [*others[: MAX_PARENTS - len(parents)], *parents]}


def _parent(status: ParentStatus, generation: int, former: list[dict[str, Any]], now: str) -> dict[str, Any]:
    ref = _reference(status.parent)
    since: dict[tuple[JSON, JSON], JSON] = {}
    for entry in former:
        if entry.get("parentRef") == ref:
            for condition in entry.get("conditions") or []:
                since[condition.get("type"), condition.get("status")] = condition.get("lastTransitionTime")
    conditions = []
    for condition in status.conditions:
        word = "True" if condition.status else "False"
        conditions.append({
            "type": condition.type,
            "status": word,
            "reason": condition.reason,
            "message": condition.message[:MAX_MESSAGE_CHARS],
            "observedGeneration": generation,
            "lastTransitionTime": since.get((condition.type, word)) or now,
        })  # fmt: skip
    return {"parentRef": ref, "controllerName": CONTROLLER, "conditions": conditions}


def _reference(parent: ParentRef) -> dict[str, Any]:
    """Write a parentRef as the route has it; what is unset is left out."""
    optional = {"namespace": parent.namespace, "sectionName": parent.section_name, "port": parent.port}
    given = {name: value for name, value in optional.items() if value}
    return {"group": parent.group, "kind": parent.kind, "name": parent.name, **given}


def _accepted(index: Index, key: Key, parent: ParentRef, compiled: list[CompiledRule]) -> list[Condition]:
    if message := _no_parent(index.services.get(key), key, parent):
        return [Condition("Accepted", False, "NoMatchingParent", message)]
    problems = [f"rule {number}: {rule.problem}" for number, rule in enumerate(compiled) if rule.problem]
    if not is_valid(compiled):
        return [Condition("Accepted", False, "UnsupportedValue", "; ".join(problems) or "the route has no rules")]
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
    if any(attaches(parent, port) for port in ports):
        return ""
    allowed = ", ".join(f"{port.port} ({port.name})" if port.name else str(port.port) for port in ports) or "none"
    return f"Service {key} has no such TCP port; it has {allowed}"


def _resolved(index: Index, route: HTTPRoute, home: str) -> Condition:
    refs = [ref for rule in route.spec.rules for ref in rule.backend_refs]
    failures = [failure for ref in refs if (failure := resolve(index, route, ref, home)).reason]
    if not failures:
        return Condition("ResolvedRefs", True, "ResolvedRefs")
    messages = dict.fromkeys(failure.message for failure in failures)
    return Condition("ResolvedRefs", False, failures[0].reason, "; ".join(messages))
