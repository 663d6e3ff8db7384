"""A client of the control plane's API that costs little: one connection, one request at a time."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import msgspec

TIMEOUT_S = 30.0
_encode = msgspec.json.encode


class Rest:
    """A connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader = reader
        self._writer = writer
        self._token = token

    @classmethod
    async def open(cls, port: int, token: str) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port), token)

    async def call(self, method: str, path: str, body: Any = None, form: str = "application/json") -> tuple[int, bytes]:
        """Make a request; returns the status and the body of the answer."""
        data = b"" if body is None else _encode(body)
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._token}\r\n"
            f"User-Agent: bench\r\nContent-Type: {form}\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        self._writer.write(head.encode() + data)
        async with asyncio.timeout(TIMEOUT_S):
            first, *fields = (await self._reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            [size] = [int(field[15:]) for field in fields if field.startswith(b"content-length:")]
            return int(first.split()[1]), await self._reader.readexactly(size)

    async def put(self, path: str, document: Any) -> None:
        """Put an object in the place of the one there. Raise RuntimeError if that is refused."""
        status, body = await self.call("PUT", path, document)
        if status != 200:
            raise RuntimeError(f"PUT {path} was answered {status}: {body[:500]!r}")

    def close(self) -> None:
        self._writer.close()
