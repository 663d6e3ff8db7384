"""Writes the body of one answer, as slowly as a fault has it, and as far."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web

from tests.fakes.kubernetes.encode import CHUNK
from tests.fakes.kubernetes.faults import JSON, Fault


class ResetError(Exception):
    """The connection is to be reset now."""


class Pipe:
    def __init__(self, request: web.BaseRequest, fault: Fault | None, headers: dict[str, str] | None = None) -> None:
        self._request = request
        self._fault = fault or Fault()
        self._sent = 0
        self.response = web.StreamResponse(headers={"Content-Type": JSON, **(headers or {})})

    async def open(self, size: int = 0) -> None:
        """Send the head; with a `size` it tells the body's, else the body is chunked."""
        if size:
            self.response.content_length = size
        else:
            self.response.enable_chunked_encoding()
        await self.response.prepare(self._request)

    async def write(self, data: bytes) -> None:
        fault = self._fault
        is_cut = fault.cut_after >= 0 and self._sent + len(data) >= fault.cut_after
        if is_cut:
            data = data[: fault.cut_after - self._sent]
        self._sent += len(data)
        if fault.bytes_per_s:
            step = max(1, fault.bytes_per_s // 20)
            for start in range(0, len(data), step):
                await self.response.write(data[start : start + step])
                await asyncio.sleep(step / fault.bytes_per_s)
        elif data:
            await self.response.write(data)
            # A socket that takes everything at once would not let anybody else have a turn.
            await asyncio.sleep(0)
        if is_cut:
            raise ResetError

    async def write_all(self, pieces: Iterable[bytes]) -> None:
        """Small pieces, put together to larger ones."""
        parts: list[bytes] = []
        size = 0
        for piece in pieces:
            parts.append(piece)
            size += len(piece)
            if size >= CHUNK:
                await self.write(b"".join(parts))
                parts.clear()
                size = 0
        if parts:
            await self.write(b"".join(parts))

    async def close(self) -> web.StreamResponse:
        await self.response.write_eof()
        return self.response
