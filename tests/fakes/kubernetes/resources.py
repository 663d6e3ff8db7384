"""The kinds that the fake API server can serve, and where they stand in its API."""

from __future__ import annotations

from typing import Any, NamedTuple


class Resource(NamedTuple):
    """One kind. `blank` is what a bookmark of it shows besides metadata: the empty object, nulls and all."""

    group: str
    versions: tuple[str, ...]
    plural: str
    kind: str
    is_namespaced: bool = True
    is_custom: bool = False
    blank: str = ""

    def api_version(self, version: str = "") -> str:
        """As in objects; by default of the first version."""
        version = version or self.versions[0]
        return f"{self.group}/{version}" if self.group else version


GATEWAY = "gateway.networking.k8s.io"
_NODE_INFO = (
    "machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion", "kubeletVersion",
    "kubeProxyVersion", "operatingSystem", "architecture",
)  # fmt: skip
_NODE = (
    ',"spec":{},"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":0}},"nodeInfo":{'
    + ",".join(f'"{name}":""' for name in _NODE_INFO)
    + "}}"
)

BUILT_IN = (
    Resource("", ("v1",), "services", "Service", blank=',"spec":{},"status":{"loadBalancer":{}}'),
    Resource("", ("v1",), "pods", "Pod", blank=',"spec":{"containers":null},"status":{}'),
    Resource("", ("v1",), "nodes", "Node", is_namespaced=False, blank=_NODE),
    Resource("", ("v1",), "namespaces", "Namespace", is_namespaced=False, blank=',"spec":{},"status":{}'),
    Resource(
        "discovery.k8s.io",
        ("v1",),
        "endpointslices",
        "EndpointSlice",
        blank=',"addressType":"","endpoints":null,"ports":null',
    ),
)
GATEWAY_API = (
    Resource(GATEWAY, ("v1", "v1beta1"), "httproutes", "HTTPRoute", is_custom=True),
    Resource(GATEWAY, ("v1", "v1beta1"), "referencegrants", "ReferenceGrant", is_custom=True),
)
"""What the CRDs of the Gateway API's release define."""

REVIEWS = "selfsubjectaccessreviews"
AUTHORIZATION = "authorization.k8s.io"


def discover_groups(resources: list[Resource]) -> dict[str, Any]:
    """The answer to GET /apis."""
    groups: dict[str, dict[str, None]] = {AUTHORIZATION: {"v1": None}}
    for resource in resources:
        if resource.group:
            groups.setdefault(resource.group, {}).update(dict.fromkeys(resource.versions))
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name, list(groups[name])) for name in groups]}


def discover_group(resources: list[Resource], group: str) -> dict[str, Any] | None:
    """The answer to GET /apis/GROUP; None if there is no such group."""
    for found in discover_groups(resources)["groups"]:
        if found["name"] == group:
            return {"kind": "APIGroup", "apiVersion": "v1", **found}
    return None


def discover_version(resources: list[Resource], group: str, version: str) -> dict[str, Any] | None:
    """The answer to GET /api/v1 and GET /apis/GROUP/VERSION; None if there is no such version."""
    found = [_entry(item) for item in resources if item.group == group and version in item.versions]
    if (group, version) == (AUTHORIZATION, "v1"):
        found.append(
            {
                "name": REVIEWS, "singularName": "selfsubjectaccessreview", "namespaced": False,
                "kind": "SelfSubjectAccessReview", "verbs": ["create"],
            }
        )  # fmt: skip
    if not found:
        return None
    head = {"kind": "APIResourceList"} if not group else {"kind": "APIResourceList", "apiVersion": "v1"}
    return {**head, "groupVersion": f"{group}/{version}" if group else version, "resources": found}


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    shown = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": shown, "preferredVersion": shown[0]}


def _entry(resource: Resource) -> dict[str, Any]:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    if resource.kind != "Namespace":
        verbs.append("deletecollection")
    return {
        "name": resource.plural, "singularName": resource.kind.lower(), "namespaced": resource.is_namespaced,
        "kind": resource.kind, "verbs": verbs,
    }  # fmt: skip
