"""What is well with the mesh and what is not, as the checks find it when they are asked."""

from __future__ import annotations

import asyncio
from time import monotonic

import msgspec
from aiohttp import web

from control.api.operations import MESH
from control.api.protocols import Checks
from control.api.send import answer


class Checker:
    """Answers `check`. One round of checks at a time; whoever came before it began is answered by it."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._turn = asyncio.Lock()
        self._began_at = -1.0
        self._found = b""

    async def check(self, _: web.Request) -> web.Response:
        """Answer with all checks, those that are fine as well."""
        came_at = monotonic()
        async with self._turn:
            if self._began_at < came_at:
                began_at = monotonic()
                shown = {"apiVersion": MESH, "kind": "CheckList", "items": await self._checks()}
                self._found, self._began_at = msgspec.json.encode(shown), began_at
            return answer(self._found)
