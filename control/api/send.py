"""Answers on their way out, in turns that leave the loop to others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic

from aiohttp import web

from meshproxy.kit.aio.slices import SLICE_S

CHUNK_BYTES = 256 * 1024
JSON_TYPE = "application/json"


def answer(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return JSON that is complete."""
    return web.Response(body=body, status=status, headers=headers, content_type=JSON_TYPE)


async def send(request: web.Request, pieces: Iterable[bytes]) -> web.StreamResponse:
    """Send JSON piece by piece, as it is made: what is long is never there as a whole."""
    response: web.StreamResponse | None = None
    buffer = bytearray()
    began = monotonic()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= CHUNK_BYTES:
            if response is None:
                response = web.StreamResponse(headers={"Content-Type": JSON_TYPE})
                await response.prepare(request)
            await response.write(bytes(buffer))
            buffer.clear()
        if monotonic() - began > SLICE_S:
            await asyncio.sleep(0)
            began = monotonic()
    if response is None:
        return answer(bytes(buffer))
    await response.write_eof(bytes(buffer))
    return response
