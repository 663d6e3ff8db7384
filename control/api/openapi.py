"""The OpenAPI document: from the table of operations and the schemas that objects are checked by."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from importlib import resources
from importlib.metadata import version
from typing import Any

import msgspec

from control.api.body import APPLY_PATCH, JSON, MERGE_PATCH
from control.api.operations import ALWAYS, MESH, OPERATIONS, Operation
from control.api.query import MAX_LIMIT
from control.api.resource import RESOURCES, Resource

_TEXT = {"type": "string"}
_FLAG = {"type": "string", "enum": ["true", "false", "1", "0"]}
_WHOLE = {"type": "integer", "minimum": 0, "maximum": MAX_LIMIT}
PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "labelSelector": (_TEXT, "Only objects with these labels, such as `app=front,track!=canary`."),
    "fieldSelector": (_TEXT, "Only objects with these fields: metadata.name, metadata.namespace."),
    "limit": (_WHOLE, "At most so many objects; 0 is no limit."),
    "continue": (_TEXT, "Where the list before has ended."),
    "resourceVersion": (_TEXT, "The least version of a list; the version after which a watch begins."),
    "resourceVersionMatch": ({"type": "string", "enum": ["NotOlderThan", "Exact"]}, "What resourceVersion means."),
    "watch": (_FLAG, "Tell what becomes of the objects."),
    "allowWatchBookmarks": (_FLAG, "Say now and then up to which version a watch has told everything."),
    "sendInitialEvents": (_FLAG, "Begin a watch with what there is."),
    "timeoutSeconds": (_WHOLE, "How long a watch lasts."),
    "includeObject": ({"type": "string", "enum": ["None", "Metadata", "Object"]}, "What goes with a table's row."),
    "dryRun": ({"type": "string", "enum": ["All"]}, "Do everything but change something."),
    "fieldManager": ({"type": "string", "maxLength": 128}, "Who writes: one manager owns an object."),
    "fieldValidation": (
        {"type": "string", "enum": ["Ignore", "Warn", "Strict"]},
        "Unknown fields are left out, left out with a warning, or (the default) refused.",
    ),
    "force": (_FLAG, "Apply even if another manager owns the object, and own it from then on."),
    "url": (_TEXT, "What is requested, such as http://echo.shop/path."),
    "namespace": (_TEXT, "The caller's namespace."),
    "serviceAccount": (_TEXT, "The caller's service account."),
    "method": (_TEXT, "GET if it is not given."),
    "header": ({"type": "array", "items": _TEXT}, "A field of the request, NAME:VALUE; may be repeated."),
}
_REQUIRED = frozenset({"url"})
_ACTIONS = {"delete_all": "deletecollection", "replace": "put", "create": "post"}


@cache
def document() -> bytes:
    """Return the whole document, OpenAPI 3.1."""
    return _encoded("3.1.0", OPERATIONS)


@cache
def part(group_version: str) -> bytes | None:
    """Return the document of one group and version, OpenAPI 3.0, as Kubernetes' clients ask for it, or None."""
    operations = tuple(
        operation
        for operation in OPERATIONS
        if operation.resource and operation.resource.group_version == group_version
    )
    return _encoded("3.0.0", operations) if operations else None


def index() -> dict[str, Any]:
    """Return where the parts are."""
    roots = dict.fromkeys(resource.root.removeprefix("/") for resource in RESOURCES)
    tag = version("meshproxy")
    return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}?hash={tag}"} for root in roots}}


def _encoded(openapi: str, operations: tuple[Operation, ...]) -> bytes:
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return msgspec.json.encode(
        {
            "openapi": openapi,
            "info": {"title": "meshproxy", "version": version("meshproxy")},
            "paths": paths,
            "components": {
                "schemas": _schemas(),
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"token": []}],
        }
    )


def _operation(operation: Operation) -> dict[str, Any]:
    shown: dict[str, Any] = {"operationId": operation.name, "summary": operation.summary}
    resource = operation.resource
    if resource is not None:
        shown["x-kubernetes-action"] = _ACTIONS.get(operation.action, operation.action)
        shown["x-kubernetes-group-version-kind"] = _identity(resource)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in ("group", "version", "namespace", "name")
        if f"{{{name}}}" in operation.path
    ]
    for name in operation.query:
        schema, text = PARAMETERS[name]
        parameters.append(
            {"name": name, "in": "query", "required": name in _REQUIRED, "schema": schema, "description": text}
        )
    shown["parameters"] = parameters
    if operation.takes:
        content = {media: {"schema": _taken(operation, media)} for media in operation.takes}
        shown["requestBody"] = {"required": not operation.action.startswith("delete"), "content": content}
    shown["responses"] = _responses(operation)
    if operation.is_open:
        shown["security"] = []
    return shown


def _responses(operation: Operation) -> dict[str, Any]:
    answers = {
        str(code): {
            "description": HTTPStatus(code).phrase,
            "content": {operation.gives: {"schema": _ref(name)}},
        }
        for code, name in operation.answers.items()
    }
    for code in sorted({*ALWAYS, *operation.refuses}):
        content: dict[str, Any] = {JSON: {"schema": _ref("Status")}}
        answers[str(code)] = {"description": HTTPStatus(code).phrase, "content": content}
    return answers


def _taken(operation: Operation, media: str) -> dict[str, Any]:
    if operation.action.startswith("delete"):
        return _ref("DeleteOptions")
    if media == MERGE_PATCH:
        return {"type": "object"}
    assert operation.resource is not None
    reference = _ref(operation.resource.kind.name)
    identity = {
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"apiVersion": {"enum": [operation.resource.group_version]}},
    }
    return {"allOf": [reference, identity]} if media in {JSON, APPLY_PATCH} else reference


def _identity(resource: Resource) -> dict[str, str]:
    return {"group": resource.kind.group, "version": resource.version, "kind": resource.kind.name}


@cache
def _schemas() -> dict[str, Any]:
    """Return the schemas by name: those of our kinds, their lists, and what the API says of its own."""
    schemas: dict[str, Any] = {"Anything": {}, "Text": {"type": "string"}, **_OWN}
    for kind in dict.fromkeys(resource.kind for resource in RESOURCES):
        schemas[kind.name] = _kind(kind.name)
        schemas[f"{kind.name}List"] = _list(kind.name)
    schemas["ProxyList"] = _list("Proxy")
    return schemas


def _kind(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = _published(_read(name.lower()))
    served = [resource for resource in RESOURCES if resource.kind.name == name]
    head = {
        "apiVersion": {"type": "string", "enum": [resource.group_version for resource in served]},
        "kind": {"type": "string", "enum": [name]},
        "metadata": _published(_read("metadata")),
    }
    schema["properties"] = {**head, **schema.get("properties", {})}
    schema["required"] = ["metadata", *schema.get("required", [])]
    schema["x-kubernetes-group-version-kind"] = [_identity(resource) for resource in served]
    return schema


def _list(name: str) -> dict[str, Any]:
    properties = {
        "apiVersion": _TEXT,
        "kind": {"type": "string", "enum": [f"{name}List"]},
        "metadata": {"type": "object"},
        "items": {"type": "array", "items": _ref(name)},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _read(name: str) -> Any:
    return msgspec.json.decode(resources.files("control.model").joinpath("schemas", f"{name}.json").read_bytes())


def _published(schema: Any) -> Any:
    """Say in OpenAPI what Kubernetes' keywords mean: fields that are not named are errors."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
    result = dict(schema)
    if "properties" in schema:
        result["properties"] = {name: _published(value) for name, value in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if name in schema:
            result[name] = _published(schema[name])
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        result["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    return result


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_CAUSE = {"type": "object", "properties": {"reason": _TEXT, "message": _TEXT, "field": _TEXT}}
_OWN: dict[str, Any] = {
    "Status": {
        "type": "object",
        "required": ["kind", "apiVersion", "metadata", "status", "code"],
        "properties": {
            "kind": {"type": "string", "enum": ["Status"]},
            "apiVersion": {"type": "string", "enum": ["v1"]},
            "metadata": {"type": "object"},
            "status": {"type": "string", "enum": ["Success", "Failure"]},
            "message": _TEXT,
            "reason": _TEXT,
            "details": {
                "type": "object",
                "properties": {
                    "name": _TEXT,
                    "group": _TEXT,
                    "kind": _TEXT,
                    "uid": _TEXT,
                    "retryAfterSeconds": {"type": "integer"},
                    "causes": {"type": "array", "items": _CAUSE},
                },
            },
            "code": {"type": "integer"},
        },
    },
    "DeleteOptions": {
        "type": "object",
        "properties": {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "preconditions": {"type": "object", "properties": {"uid": _TEXT, "resourceVersion": _TEXT}},
            "propagationPolicy": _TEXT,
            "gracePeriodSeconds": {"type": "integer"},
            "dryRun": {"type": "array", "maxItems": 1, "items": {"type": "string", "enum": ["All"]}},
        },
    },
    "Namespace": {"type": "object", "required": ["apiVersion", "kind", "metadata"]},
    "Proxy": {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "status"],
        "properties": {
            "apiVersion": {"type": "string", "enum": [MESH]},
            "kind": {"type": "string", "enum": ["Proxy"]},
            "metadata": {"type": "object", "properties": {"name": _TEXT, "namespace": _TEXT}},
            "status": {"type": "object"},
        },
    },
    "Explanation": {"type": "object"},
    "CheckList": {
        "type": "object",
        "required": ["apiVersion", "kind", "items"],
        "properties": {
            "apiVersion": {"type": "string", "enum": [MESH]},
            "kind": {"type": "string", "enum": ["CheckList"]},
            "items": {"type": "array", "items": _ref("Check")},
        },
    },
    "Check": {
        "type": "object",
        "required": ["section", "name", "state", "message", "hint"],
        "properties": {
            "section": _TEXT,
            "name": _TEXT,
            "state": {"type": "string", "enum": ["ok", "warn", "fail"]},
            "message": _TEXT,
            "hint": _TEXT,
        },
    },
}
