"""The same pages for whoever asks from afar: the control plane, over the push stream."""

from __future__ import annotations

import asyncio

from meshproxy.admin.desk import Desk

MAX_BYTES = 4 * 1024 * 1024
"""No more is made of an answer: longer ones do not travel."""


async def answer(desk: Desk, what: str) -> str:
    """What admin serves under `/config`, `/endpoints` or `/metrics`, made in slices, up to just over MAX_BYTES."""
    body = desk.handle(b"GET", f"/{what}".encode(), b"", b"localhost", b"").body
    if isinstance(body, bytes):
        return body.decode()
    parts: list[bytes] = []
    size = 0
    for part in await body() if callable(body) else body:
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            break
        await asyncio.sleep(0)
    return b"".join(parts).decode(errors="replace")
