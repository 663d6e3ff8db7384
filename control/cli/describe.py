"""`meshctl describe`: one object as a page, with what refers to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import typer

from control.cli.about_core import describe_pod, describe_service, describe_slice
from control.cli.about_proxy import describe_proxy
from control.cli.about_route import describe_grant, describe_route
from control.cli.client import Client, place_of
from control.cli.failure import ApiError, Failure
from control.cli.get import Query, read
from control.cli.kinds import PROXY, metadata_of, target_of
from control.cli.options import KindArgument, NameArgument, Namespace, connect
from control.cli.screen import Page
from control.model.kinds import ENDPOINT_SLICE, HTTP_ROUTE, POD, REFERENCE_GRANT, SERVICE, Kind
from control.model.objects import SERVICE_LABEL, EndpointSlice, Key, Object, Pod, Service
from control.model.routes import HTTPRoute, ReferenceGrant

_T = TypeVar("_T", bound=Object)
_SKIPPED = ("kubectl.kubernetes.io/last-applied-configuration",)


def describe(
    ctx: typer.Context,
    kind: KindArgument,
    name: NameArgument = "",
    namespace: Namespace = "default",
) -> None:
    """Show one object as a page: what it says, its status, and what refers to it.

    Examples:
    meshctl describe service echo -n shop

    meshctl describe httproute/echo

    """
    target = target_of(kind, name)
    if not target.name:
        raise Failure(f"the name of the {target.kind.singular} is missing")
    client = connect(ctx)
    (document,) = read(client, Query(target.kind, namespace, target.name, ""))
    page = Page()
    if target.kind is PROXY:
        describe_proxy(page, document)
        return
    _print_metadata(page, target.kind, document)
    _PAGES[target.kind](page, client, document)


def objects(client: Client, kind: Kind, type_: type[_T], namespace: str = "", selector: str = "") -> list[_T]:
    """Return all objects of a kind, typed."""
    return [typed(document, type_) for document in read(client, Query(kind, namespace, "", selector))]


def typed(document: Any, type_: type[_T]) -> _T:
    """Return a document as what is used of it; fields that are not known here do not matter."""
    try:
        return msgspec.convert(document, type_)
    except msgspec.ValidationError as error:
        raise Failure(f"an object of the control plane is not understood: {error}") from None


def _print_metadata(page: Page, kind: Kind, document: Any) -> None:
    metadata = metadata_of(document)
    page.field("Name", str(metadata.get("name")))
    page.field("Namespace", str(metadata.get("namespace")))
    page.field("Kind", f"{kind.name} ({document.get('apiVersion')})")
    for label in ("labels", "annotations"):
        pairs = metadata.get(label) or {}
        page.fields(label.capitalize(), [f"{name}={value}" for name, value in pairs.items() if name not in _SKIPPED])
    page.field("Created", _since(str(metadata.get("creationTimestamp") or "")))
    managers = [str(entry.get("manager")) for entry in metadata.get("managedFields") or ()]
    page.field("Managed by", ", ".join(dict.fromkeys(managers)))


def _since(created: str) -> str:
    try:
        age = datetime.now(UTC) - datetime.fromisoformat(created)
    except (ValueError, TypeError):
        return created
    return f"{created} ({str(age).partition('.')[0]} ago)"


def _service(page: Page, client: Client, document: Any) -> None:
    service = typed(document, Service)
    slices = _slices_of(client, service)
    pods = {pod.key: pod for pod in objects(client, POD, Pod, service.metadata.namespace)}
    routes = objects(client, HTTP_ROUTE, HTTPRoute)
    describe_service(page, service, slices, pods, routes)


def _slices_of(client: Client, service: Service) -> list[EndpointSlice]:
    selector = f"{SERVICE_LABEL}={service.metadata.name}"
    return objects(client, ENDPOINT_SLICE, EndpointSlice, service.metadata.namespace, selector)


def _endpoint_slice(page: Page, client: Client, document: Any) -> None:
    slice_ = typed(document, EndpointSlice)
    pods = {pod.key: pod for pod in objects(client, POD, Pod, slice_.metadata.namespace)}
    describe_slice(page, slice_, pods)


def _pod(page: Page, client: Client, document: Any) -> None:
    pod = typed(document, Pod)
    slices = objects(client, ENDPOINT_SLICE, EndpointSlice, pod.metadata.namespace)
    describe_pod(page, pod, slices)


def _http_route(page: Page, client: Client, document: Any) -> None:
    route = typed(document, HTTPRoute)
    named = {
        Key(ref.namespace or route.metadata.namespace, ref.name)
        for rule in route.spec.rules
        for ref in rule.backend_refs
    }
    found = {key: service for key in sorted(named) if (service := _service_of(client, key)) is not None}
    describe_route(page, route, document.get("status") or {}, found)


def _service_of(client: Client, key: Key) -> Service | None:
    try:
        return typed(client.get(place_of(SERVICE, key.namespace, key.name)), Service)
    except ApiError as error:
        if error.code == 404:
            return None
        raise


def _reference_grant(page: Page, client: Client, document: Any) -> None:
    routes = objects(client, HTTP_ROUTE, HTTPRoute)
    describe_grant(page, typed(document, ReferenceGrant), routes)


_PAGES: dict[Kind, Callable[[Page, Client, Any], None]] = {
    SERVICE: _service,
    ENDPOINT_SLICE: _endpoint_slice,
    POD: _pod,
    HTTP_ROUTE: _http_route,
    REFERENCE_GRANT: _reference_grant,
}
