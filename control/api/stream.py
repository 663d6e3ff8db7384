"""The answer to a watch: JSON lines for as long as somebody reads them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from time import monotonic

import msgspec
from aiohttp import web

from control.api.form import Form
from control.api.send import CHUNK_BYTES, JSON_TYPE
from control.api.status import ApiError
from control.api.watcher import Line
from meshproxy.kit.aio.slices import SLICE_S

WRITE_S = 30.0
"""So long may a client leave unread what it was sent; then writing raises TimeoutError."""


class Stream:
    """Lines to one client."""

    __slots__ = ("_form", "_is_first", "_request", "response")

    def __init__(self, request: web.Request, form: Form) -> None:
        self.response = web.StreamResponse(headers={"Content-Type": JSON_TYPE})
        self._request = request
        self._form = form
        self._is_first = True

    async def begin(self) -> None:
        await self.response.prepare(self._request)

    async def tell(self, lines: Iterable[Line | None]) -> None:
        """Send lines, as many at once as make sense; a None only lets others have their turn."""
        now = time.time()
        began = monotonic()
        buffer = bytearray()
        for line in lines:
            if line is not None:
                buffer += self._form.event(line.word, line.body, now, is_first=self._is_first)
                self._is_first = False
            if len(buffer) >= CHUNK_BYTES:
                await self._write(bytes(buffer))
                buffer.clear()
            if monotonic() - began > SLICE_S:
                await asyncio.sleep(0)
                began = monotonic()
        if buffer:
            await self._write(bytes(buffer))

    async def bookmark(self, version: int, *, ends_initial: bool = False) -> None:
        """Say that everything up to a version was told."""
        await self._write(self._form.bookmark(version, ends_initial=ends_initial))

    async def fail(self, error: ApiError) -> None:
        """Say why the watch ends here."""
        await self._write(msgspec.json.encode({"type": "ERROR", "object": error.document()}) + b"\n")

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(WRITE_S):
            await self.response.write(data)
