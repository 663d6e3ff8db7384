"""What an operator wants to see of each kind, column by column. Wide columns (priority 1) come with `-o wide`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from control.model.kinds import ENDPOINT_SLICE, HTTP_ROUTE, POD, REFERENCE_GRANT, SERVICE
from control.model.objects import SERVICE_LABEL, SIDECAR_LABEL
from meshproxy.kit.age import shown

NONE = "<none>"
MAX_SHOWN = 3
"""Of a list in a cell so many are shown, and how many more there are."""

Document = dict[str, Any]


class Column(NamedTuple):
    """One column: its name, what it says, and how it is read from an object. `type` is string or integer."""

    name: str
    description: str
    read: Callable[[Document], str | int]
    priority: int = 0
    type: str = "string"


def joined(items: Iterable[str], most: int = MAX_SHOWN) -> str:
    words = list(items)
    more = f" + {len(words) - most} more..." if len(words) > most else ""
    return ",".join(words[:most]) + more or NONE


def _spec(document: Document) -> Document:
    return document.get("spec") or {}


def _ports(ports: list[Document] | None) -> str:
    return joined(f"{port.get('port', '*')}/{port.get('protocol') or 'TCP'}" for port in ports or ())


def _selector(document: Document) -> str:
    return joined(f"{key}={value}" for key, value in sorted((_spec(document).get("selector") or {}).items()))


def _label(document: Document, name: str) -> str:
    return (document["metadata"].get("labels") or {}).get(name) or NONE


def _ready(document: Document) -> str:
    endpoints = document.get("endpoints") or ()
    # An unset `ready` means yes (EndpointSlice API reference).
    ready = sum((endpoint.get("conditions") or {}).get("ready") is not False for endpoint in endpoints)
    return f"{ready}/{len(endpoints)}"


def _addresses(document: Document) -> str:
    return joined(address for endpoint in document.get("endpoints") or () for address in endpoint["addresses"])


def _parents(document: Document) -> str:
    return joined(_reference(parent, "Gateway") for parent in _spec(document).get("parentRefs") or ())


def _reference(reference: Document, kind: str) -> str:
    namespace = f"{reference['namespace']}/" if reference.get("namespace") else ""
    port = f":{reference['port']}" if reference.get("port") else ""
    return f"{reference.get('kind') or kind}/{namespace}{reference['name']}{port}"


def _backends(document: Document) -> str:
    return joined(_shares(rule.get("backendRefs") or ()) for rule in _spec(document).get("rules") or ())


def _shares(backends: Iterable[Document]) -> str:
    weights = [(backend["name"], 1 if (weight := backend.get("weight")) is None else weight) for backend in backends]
    if len(weights) == 1:
        return str(weights[0][0])
    return "|".join(f"{name}={weight}" for name, weight in weights) or NONE


def _condition(word: str) -> Callable[[Document], str]:
    """Return what all parents say of a condition: `True`, else the reason of the first that does not."""

    def read(document: Document) -> str:
        parents = (document.get("status") or {}).get("parents") or ()
        found = [item for parent in parents for item in parent.get("conditions") or () if item.get("type") == word]
        for item in found:
            if item.get("status") != "True":
                return f"{item.get('status')} ({item.get('reason')})"
        return "True" if found else "Unknown"

    return read


def _grant_from(document: Document) -> str:
    return joined(f"{item['kind']}/{item['namespace']}" for item in _spec(document).get("from") or ())


def _grant_to(document: Document) -> str:
    return joined(f"{item['kind']}/{item.get('name') or '*'}" for item in _spec(document).get("to") or ())


def _status(name: str) -> Callable[[Document], str]:
    return lambda document: str((document.get("status") or {}).get(name) or NONE)


def _proxy_state(document: Document) -> str:
    status = document["status"]
    if status["lastNack"]:
        return "refused"
    return "synced" if status["synced"] else "behind"


def _problem(document: Document) -> str:
    problems = document["status"]["lastNack"]
    return "; ".join(
        ": ".join(part for part in (item["name"], item["path"], item["message"]) if part) for item in problems[:1]
    )


def _meshed(document: Document) -> str:
    return "yes" if _label(document, SIDECAR_LABEL) == "injected" else "no"


def _duration(document: Document, name: str) -> str:
    seconds = document["status"][name]
    return shown(seconds) if seconds else "-"


COLUMNS: dict[str, tuple[Column, ...]] = {
    SERVICE.name: (
        Column("Type", "How the Service is published", lambda item: _spec(item).get("type") or "ClusterIP"),
        Column("Cluster-IP", "Its address in the cluster", lambda item: _spec(item).get("clusterIP") or NONE),
        Column("Port(s)", "Its ports", lambda item: _ports(_spec(item).get("ports"))),
        Column("Selector", "The Pods behind it", _selector, 1),
    ),
    POD.name: (
        Column("Meshed", "Whether it has a sidecar", _meshed),
        Column("Account", "Its service account", lambda item: _spec(item).get("serviceAccountName") or "default"),
        Column("IP", "Its address", _status("podIP")),
        Column("Phase", "Where it is in its life", _status("phase"), 1),
        Column("Node", "Where it runs", lambda item: _spec(item).get("nodeName") or NONE, 1),
    ),
    ENDPOINT_SLICE.name: (
        Column("AddressType", "The kind of its addresses", lambda item: str(item.get("addressType"))),
        Column("Ports", "The ports of its endpoints", lambda item: _ports(item.get("ports"))),
        Column("Ready", "Endpoints that are ready, and all", _ready),
        Column("Endpoints", "Their addresses", _addresses),
        Column("Service", "Whose endpoints these are", lambda item: _label(item, SERVICE_LABEL), 1),
    ),
    HTTP_ROUTE.name: (
        Column("Parents", "What the route is attached to", _parents),
        Column("Accepted", "Whether its parents take it", _condition("Accepted")),
        Column("Resolved", "Whether all it refers to is there", _condition("ResolvedRefs")),
        Column("Backends", "Where its rules lead, with weights", _backends),
        Column("Hostnames", "For which hosts", lambda item: joined(_spec(item).get("hostnames") or ()), 1),
        Column("Rules", "How many rules", lambda item: len(_spec(item).get("rules") or ()), 1, "integer"),
    ),
    REFERENCE_GRANT.name: (
        Column("From", "Who may refer", _grant_from),
        Column("To", "To what", _grant_to),
    ),
    "Proxy": (
        Column("Version", "The sidecar's program", lambda item: item["status"]["version"]),
        Column("State", "synced, behind or refused", _proxy_state),
        Column("Stale", "For how long it has not been in sync", lambda item: _duration(item, "staleForS")),
        Column("Unacked", "Pushes on their way", lambda item: item["status"]["unacknowledged"], 0, "integer"),
        Column("Subscribed", "Resources that it follows", lambda item: item["status"]["subscribed"], 0, "integer"),
        Column("Account", "Its service account", lambda item: item["status"]["serviceAccount"], 1),
        Column("Address", "Where it connects from", lambda item: item["status"]["address"], 1),
        Column("Waiting", "What it waits for", lambda item: joined(item["status"]["waiting"]), 1),
        Column("Problem", "Why it refused", _problem, 1),
    ),
}
"""Between the name and the age, which every kind has."""
