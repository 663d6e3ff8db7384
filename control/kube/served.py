"""In which version an API server serves a kind, by its own discovery; and when that may be believed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
from msgspec import Struct

from control.kube.events import Garbage, understood
from control.kube.resources import Watched

GROUPS = "/apis"
ALWAYS_SERVED = "discovery.k8s.io"
"""A list of groups without this one is not that of an API server that has started."""

Get: TypeAlias = Callable[[str], Awaitable[bytes]]


class _Version(Struct):
    version: str


class _Group(Struct):
    name: str
    versions: list[_Version]


class _Groups(Struct):
    kind: str
    groups: list[_Group]


class _Resource(Struct):
    name: str


class _Resources(Struct):
    kind: str
    resources: list[_Resource]


_groups = msgspec.json.Decoder(_Groups)
_resources = msgspec.json.Decoder(_Resources)


async def served_version(watched: Watched, get: Get) -> str:
    """Return the first of a kind's versions that is served; empty if it is certain that none is. Raise KubeError."""
    served = _versions(await get(GROUPS), watched.kind.group)
    for version in watched.kind.versions:
        if version in served:
            path = watched.kind.root(version)
            if watched.kind.plural in _plurals(await get(path), path):
                return version
    return ""


def _versions(body: bytes, group: str) -> set[str]:
    found = understood(body, _groups, GROUPS)
    versions = {item.name: {version.version for version in item.versions} for item in found.groups}
    if found.kind != "APIGroupList" or ALWAYS_SERVED not in versions:
        raise Garbage(f"{GROUPS} does not name {ALWAYS_SERVED}: it is not believed")
    return versions.get(group, set())


def _plurals(body: bytes, path: str) -> set[str]:
    found = understood(body, _resources, path)
    if found.kind != "APIResourceList":
        raise Garbage(f"{path} is not understood: no APIResourceList")
    return {resource.name for resource in found.resources}
