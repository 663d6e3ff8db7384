"""What the API says of itself: discovery, OpenAPI, health."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from control.api import discovery, openapi
from control.api.operations import TEXT
from control.api.send import answer
from control.api.status import ApiError
from meshproxy.wire.names import is_label


class Documents:
    """Answers that do not depend on what is stored."""

    async def versions(self, request: web.Request) -> web.Response:
        """Answer `/api`, with the address that the client has reached."""
        return _json(discovery.versions(request.host))

    async def groups(self, _: web.Request) -> web.Response:
        return _json(discovery.groups())

    async def group(self, request: web.Request) -> web.Response:
        return _json(discovery.group(request.match_info["group"]))

    async def core(self, _: web.Request) -> web.Response:
        return _json(discovery.resources("v1"))

    async def kinds(self, request: web.Request) -> web.Response:
        return _json(discovery.resources(_group_version(request)))

    async def namespace(self, request: web.Request) -> web.Response:
        """Answer with the namespace that is asked for: none needs to be made. kubectl looks for it after a 404."""
        name = request.match_info["namespace"]
        if not is_label(name):
            details = {"name": name, "kind": "namespaces"}
            raise ApiError("NotFound", f'namespaces "{name}" not found', details)
        return _json(
            {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}, "status": {"phase": "Active"}}
        )

    async def program(self, _: web.Request) -> web.Response:
        return _json(discovery.program())

    async def openapi(self, _: web.Request) -> web.Response:
        return answer(openapi.document())

    async def openapi_index(self, _: web.Request) -> web.Response:
        return _json(openapi.index())

    async def openapi_core(self, _: web.Request) -> web.Response:
        return _part("v1")

    async def openapi_group(self, request: web.Request) -> web.Response:
        return _part(_group_version(request))

    async def health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n", content_type=TEXT)


def _group_version(request: web.Request) -> str:
    return f"{request.match_info['group']}/{request.match_info['version']}"


def _part(group_version: str) -> web.Response:
    found = openapi.part(group_version)
    if found is None:
        raise _absent()
    return answer(found)


def _json(document: dict[str, Any] | None) -> web.Response:
    if document is None:
        raise _absent()
    return answer(msgspec.json.encode(document))


def _absent() -> ApiError:
    return ApiError("NotFound", "the server could not find the requested resource")
