"""API discovery: which groups, versions and kinds are served, as Kubernetes' clients ask before anything else."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from control.api.operations import MESH, OPERATIONS, Operation
from control.api.resource import RESOURCES

_VERBS = {
    "replace": "update",
    "patch": "patch",
    "create": "create",
    "delete": "delete",
    "delete_all": "deletecollection",
}
"""The verbs of discovery that are not called as our actions are, or stand for several paths."""


def versions(address: str) -> dict[str, Any]:
    """Answer `/api`; `address` is ours, ADDR:PORT."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def groups() -> dict[str, Any]:
    """Answer `/apis`."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in _groups()]}


def group(name: str) -> dict[str, Any] | None:
    """Answer `/apis/GROUP`; None for one that is not served."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)} if name in _groups() else None


def resources(group_version: str) -> dict[str, Any] | None:
    """Answer `/api/v1` and `/apis/GROUP/VERSION`; None for one that is not served."""
    shown: list[dict[str, Any]] = []
    for resource in RESOURCES:
        if resource.group_version != group_version:
            continue
        kind = resource.kind
        entry = {"name": kind.plural, "singularName": kind.singular, "namespaced": True, "kind": kind.name}
        own = [operation for operation in OPERATIONS if operation.resource == resource]
        entry["verbs"] = sorted(_verbs([operation for operation in own if not operation.is_status]) | {"watch"})
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        shown.append(entry)
        statuses = _verbs([operation for operation in own if operation.is_status])
        if statuses:
            name = f"{kind.plural}/status"
            shown.append(
                {"name": name, "singularName": "", "namespaced": True, "kind": kind.name, "verbs": sorted(statuses)}
            )
    if group_version == MESH:
        entry = {"name": "proxies", "singularName": "proxy", "namespaced": True, "kind": "Proxy"}
        shown.append({**entry, "verbs": ["get", "list"]})
    if not shown:
        return None
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": shown}


def program() -> dict[str, Any]:
    """Answer `/version`: what we are, and the version of Kubernetes' API that we behave like."""
    return {
        "major": "1",
        "minor": "36",
        "gitVersion": f"v1.36.0+meshproxy-{version('meshproxy')}",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"linux/{platform.machine()}",
    }


def _verbs(operations: list[Operation]) -> set[str]:
    words = (operation.action.removesuffix("_status") for operation in operations)
    return {_VERBS.get(word, word) for word in words}


def _groups() -> list[str]:
    names = [resource.kind.group for resource in RESOURCES if resource.kind.group]
    return list(dict.fromkeys([*names, MESH.partition("/")[0]]))


def _group(name: str) -> dict[str, Any]:
    served = [resource.group_version for resource in RESOURCES if resource.kind.group == name]
    if name == MESH.partition("/")[0]:
        served.append(MESH)
    shown = [{"groupVersion": text, "version": text.rpartition("/")[2]} for text in dict.fromkeys(served)]
    return {"name": name, "versions": shown, "preferredVersion": shown[0]}
