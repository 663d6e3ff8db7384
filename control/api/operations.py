"""Everything that the API does, on one page. The routes, API discovery and the OpenAPI document are made from it."""

from __future__ import annotations

from typing import NamedTuple

from control.api.body import APPLY_PATCH, JSON, MERGE_PATCH
from control.api.resource import RESOURCES, Resource

MESH = "meshproxy.io/v1alpha1"
TEXT = "text/plain"

LIST = (
    "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "watch",
    "allowWatchBookmarks", "sendInitialEvents", "timeoutSeconds", "includeObject",
)  # fmt: skip
WRITE = ("dryRun", "fieldManager", "fieldValidation")
DELETE = ("dryRun",)
DELETE_ALL = ("dryRun", "labelSelector", "fieldSelector")
EXPLAIN = ("url", "namespace", "serviceAccount", "method", "header")

ALWAYS = (400, 401, 403, 406, 408, 429)
"""What any request may be answered with: malformed, no token, foreign Host, slow, too many."""
_READ = (503,)
"""Not all of the cluster was read yet."""
_LIST = (410, 503, 504)
_WRITE = (405, 409, 413, 415, 422, 503)
"""405: the objects are a cluster's; 503: the disk is full. Nothing was changed."""


class Operation(NamedTuple):
    """One method of one path. `action` names the handler's method; `answers` schemas by status, beside Status.

    `takes` are the media types of the body.
    """

    method: str
    path: str
    action: str
    summary: str
    answers: dict[int, str]
    resource: Resource | None = None
    query: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    refuses: tuple[int, ...] = ()
    gives: str = JSON
    is_open: bool = False
    """Needs no token."""

    @property
    def is_status(self) -> bool:
        return self.path.endswith("/status")

    @property
    def reads(self) -> bool:
        """Tell whether it answers by what the objects are."""
        return self.action in {"get", "list", "explain"}

    @property
    def name(self) -> str:
        """A name of its own among all operations."""
        verb, *rest = self.action.split("_")
        words = "".join(word.title() for word in rest)
        if self.resource is None:
            return f"{verb}{words}{'InNamespace' if words and '{namespace}' in self.path else ''}"
        kind, version = self.resource
        part = "Status" if self.is_status else words
        return f"{verb}{kind.name}{part}{'' if '{namespace}' in self.path else 'Everywhere'}{version.title()}"


def _of(resource: Resource) -> list[Operation]:
    kind = resource.kind
    whole, several = {200: kind.name}, {200: f"{kind.name}List"}
    of_none = f"{resource.root}/{kind.plural}"
    of_one = f"{resource.root}/namespaces/{{namespace}}/{kind.plural}"
    one = f"{of_one}/{{name}}"

    def operation(method: str, path: str, action: str, summary: str, answers: dict[int, str]) -> Operation:
        return Operation(method, path, action, f"{summary} {kind.name}", answers, resource)

    def writing(path: str, method: str, action: str, summary: str, answers: dict[int, str]) -> Operation:
        takes = (MERGE_PATCH, APPLY_PATCH) if method == "PATCH" else (JSON,)
        query = {"PATCH": (*WRITE, "force"), "DELETE": DELETE}.get(method, WRITE)
        refuses = _WRITE if path == of_one else (404, *_WRITE)
        return operation(method, path, action, summary, answers)._replace(query=query, takes=takes, refuses=refuses)

    operations = [
        operation("GET", of_none, "list", "List, or watch, all of kind", several)._replace(query=LIST, refuses=_LIST),
        operation("GET", of_one, "list", "List, or watch, a namespace's", several)._replace(query=LIST, refuses=_LIST),
        operation("GET", one, "get", "Read a", whole)._replace(refuses=(404, *_READ)),
        writing(of_one, "POST", "create", "Create a", {201: kind.name}),
        writing(one, "PUT", "replace", "Replace a", whole),
        writing(one, "PATCH", "patch", "Patch, or apply, a", {200: kind.name, 201: kind.name}),
        writing(one, "DELETE", "delete", "Delete a", {200: "Status"}),
        writing(of_one, "DELETE", "delete_all", "Delete, if selected, each", {200: "Status"})._replace(
            query=DELETE_ALL
        ),
    ]
    if kind.has_status:
        path = f"{one}/status"
        operations += [
            operation("GET", path, "get", "Read, for its status, a", whole)._replace(refuses=(404, *_READ)),
            writing(path, "PUT", "replace_status", "Replace the status of a", whole),
            writing(path, "PATCH", "patch_status", "Patch, or apply, the status of a", whole),
        ]
    return operations


def _get(path: str, action: str, summary: str, answer: str = "Anything", *refuses: int) -> Operation:
    gives = TEXT if answer == "Text" else JSON
    return Operation("GET", path, action, summary, {200: answer}, refuses=refuses, gives=gives)


_PROXIES = f"/apis/{MESH}/namespaces/{{namespace}}/proxies"
_PROXY = f"{_PROXIES}/{{name}}"
_ASKED = (404, 502, 504)

OPERATIONS: tuple[Operation, ...] = (
    *(operation for resource in RESOURCES for operation in _of(resource)),
    _get(f"/apis/{MESH}/proxies", "list_proxies", "List the sidecars that are connected", "ProxyList"),
    _get(_PROXIES, "list_proxies", "List a namespace's sidecars", "ProxyList"),
    _get(_PROXY, "get_proxy", "Read what is known of a sidecar", "Proxy", 404),
    _get(f"{_PROXY}/config", "ask_config", "Ask a sidecar for its configuration", "Anything", *_ASKED),
    _get(f"{_PROXY}/endpoints", "ask_endpoints", "Ask a sidecar for its endpoints", "Anything", *_ASKED),
    _get(f"{_PROXY}/metrics", "ask_metrics", "Ask a sidecar for its metrics", "Text", *_ASKED),
    _get(f"/apis/{MESH}/explain", "explain", "Tell which way a request would take, and why", "Explanation")._replace(
        query=EXPLAIN, refuses=_READ
    ),
    _get(f"/apis/{MESH}/check", "check", "Tell what is well, what is not, and what can be done", "CheckList"),
    _get("/api/v1/namespaces/{namespace}", "namespace", "Read a namespace, of which there is each", "Namespace", 404),
    _get("/api", "versions", "Discover the versions of the core group"),
    _get("/apis", "groups", "Discover the groups"),
    _get("/apis/{group}", "group", "Discover the versions of a group", "Anything", 404),
    _get("/api/v1", "core", "Discover the kinds of the core group"),
    _get("/apis/{group}/{version}", "kinds", "Discover the kinds of a group's version", "Anything", 404),
    _get("/version", "program", "Read the program's version"),
    _get("/openapi.json", "openapi", "Read this document"),
    _get("/openapi/v3", "openapi_index", "Find the OpenAPI documents of groups and versions"),
    _get("/openapi/v3/api/v1", "openapi_core", "Read the OpenAPI document of the core group"),
    _get("/openapi/v3/apis/{group}/{version}", "openapi_group", "Read a group's OpenAPI document", "Anything", 404),
    _get("/healthz", "health", "Ask whether the API is there", "Text")._replace(is_open=True),
)
