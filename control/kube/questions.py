"""What is asked of an API server for a check: a few questions at a time, each answered in time or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import msgspec

from control.kube.client import Client
from control.kube.failure import KubeError

AT_ONCE = 4
EACH_S = 3.0


class Questions:
    """All that is asked ends within `limit_s`. Whatever fails is a KubeError, what comes too late as well."""

    def __init__(self, client: Client, limit_s: float) -> None:
        self._client = client
        self._ends_at = monotonic() + limit_s
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def get(self, path: str) -> bytes:
        async with self._turn():
            return await self._client.get(path, timeout_s=EACH_S)

    async def post(self, path: str, document: object) -> bytes:
        async with self._turn():
            return await self._client.post(path, msgspec.json.encode(document), timeout_s=EACH_S)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        left_s = self._ends_at - monotonic()
        try:
            # The inner limit begins with the turn: to wait for one is not the API server's fault.
            async with asyncio.timeout(left_s), self._turns, asyncio.timeout(EACH_S):
                yield
        except TimeoutError:
            raise KubeError("there was no answer in time") from None
