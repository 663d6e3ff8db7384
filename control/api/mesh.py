"""What a mesh has beyond Kubernetes' objects: the connected sidecars, and the way that a request takes."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from aiohttp import web

from control.api.form import Form
from control.api.operations import MESH, TEXT
from control.api.protocols import Explain, Proxies
from control.api.send import answer, send
from control.api.status import ApiError

MAX_HEADERS = 64


class Mesh:
    """The kind Proxy, read only, and explain."""

    def __init__(self, proxies: Proxies, explain: Explain) -> None:
        self._proxies = proxies
        self._explain = explain

    async def list_proxies(self, request: web.Request) -> web.StreamResponse:
        """Answer with all connected sidecars, or those of a namespace."""
        namespace = request.match_info.get("namespace", "")
        rows = sorted(_proxy(row) for row in self._proxies.proxies())
        bodies = (body for place, _, body in rows if namespace in {"", place})
        return await send(request, _form(request).many(bodies, {"resourceVersion": ""}, time.time()))

    async def get_proxy(self, request: web.Request) -> web.Response:
        """Answer with one sidecar."""
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        for row in self._proxies.proxies():
            place, workload, body = _proxy(row)
            if (place, workload) == (namespace, name):
                return answer(_form(request).one(body, time.time()))
        raise _unknown(namespace, name)

    async def ask_config(self, request: web.Request) -> web.Response:
        """Answer with the sidecar's own answer, as do the next two."""
        return await self._ask(request, "config")

    async def ask_endpoints(self, request: web.Request) -> web.Response:
        return await self._ask(request, "endpoints")

    async def ask_metrics(self, request: web.Request) -> web.Response:
        return await self._ask(request, "metrics")

    async def explain(self, request: web.Request) -> web.Response:
        """Answer with the Explanation of a request that is not sent."""
        query = request.query
        fields = query.getall("header", [])
        if len(fields) > MAX_HEADERS:
            raise ApiError("BadRequest", f"header: given {len(fields)} times; allowed: {MAX_HEADERS}")
        headers = []
        for field in fields:
            name, colon, value = field.partition(":")
            if not colon or not name.strip():
                raise ApiError("BadRequest", f"header: {field[:80]!r} is not allowed; allowed: NAME:VALUE")
            headers.append((name.strip(), value.strip()))
        if not query.get("url"):
            raise ApiError("BadRequest", "url: is required, such as http://echo.shop/path")
        try:
            found = self._explain(
                query["url"],
                query.get("namespace") or "default",
                query.get("serviceAccount") or "default",
                query.get("method") or "GET",
                headers,
            )
        except ValueError as error:
            raise ApiError("BadRequest", str(error)) from None
        return answer(msgspec.json.encode(found))

    async def _ask(self, request: web.Request, what: str) -> web.Response:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        try:
            text = await self._proxies.ask(namespace, name, what)
        except LookupError:
            raise _unknown(namespace, name) from None
        except TimeoutError:
            raise ApiError("Timeout", f"the sidecar {namespace}/{name} did not answer in time") from None
        except RuntimeError as error:
            raise ApiError("BadGateway", f"the sidecar {namespace}/{name}: {error}") from None
        if what == "metrics":
            return web.Response(text=text, content_type=TEXT)
        return answer(text.encode())


def _proxy(row: msgspec.Struct) -> tuple[str, str, bytes]:
    """Return namespace, name and the object of kind Proxy that a row is."""
    status: dict[str, Any] = msgspec.to_builtins(row)
    namespace, name = status.pop("namespace"), status.pop("name")
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": status.get("connectedAt") or None}
    shown = {"apiVersion": MESH, "kind": "Proxy", "metadata": metadata, "status": status}
    return namespace, name, msgspec.json.encode(shown)


def _form(request: web.Request) -> Form:
    return Form("Proxy", MESH, request.headers.get("Accept", ""), request.query.get("includeObject", ""))


def _unknown(namespace: str, name: str) -> ApiError:
    details = {"name": name, "group": MESH.partition("/")[0], "kind": "proxies"}
    return ApiError(
        "NotFound", f'proxies.meshproxy.io "{name}" not found: no such sidecar of {namespace} is connected', details
    )
