"""What is answered to writes where the objects are those of a Kubernetes cluster."""

from __future__ import annotations

from aiohttp import web

from control.api.resource import Resource
from control.api.status import ApiError


class ReadOnly:
    """Refuses every writing operation: who may write what is the cluster's to decide."""

    async def refuse(self, _: Resource, __: web.Request) -> web.StreamResponse:
        message = (
            "this control plane reads its objects from a Kubernetes cluster and takes no writes; "
            "use kubectl instead, with the same file"
        )
        raise ApiError("MethodNotAllowed", message, headers={"Allow": "GET"})

    create = replace = patch = delete = delete_all = replace_status = patch_status = refuse
