"""The demo's HTTP/1.1 client: keep-alive GETs to one address, and single ones to any."""

from __future__ import annotations

import asyncio

Address = tuple[str, int]

HEAD_BYTES = 16_384
BODY_BYTES = 4_194_304
"""Longer bodies than that are nothing the demo asks for."""


class ResponseError(Exception):
    """What came is no response that this client understands, or it ended too early."""


class Client:
    """Connections to one address; those that are idle are used again. Connections are as many as calls at a time."""

    __slots__ = ("_address", "_idle")

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, target: str, host: str, fields: str = "") -> tuple[int, bytes]:
        """Give (status, body). Raises OSError or ResponseError; `fields` are lines of the head, each with its end."""
        reader, writer = await self._connection()
        try:
            writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode())
            status, length = parse_head(await reader.readuntil(b"\r\n\r\n"))
            body = await reader.readexactly(length or 0)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            writer.close()
            raise ResponseError("the connection ended within a response") from error
        except BaseException:
            writer.close()  # also when the caller's patience is over: what comes late must answer nobody else
            raise
        self._idle.append((reader, writer))
        return status, body

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(*self._address, limit=HEAD_BYTES)


async def call(address: Address, target: str, method: str = "GET") -> tuple[int, bytes]:
    """One request on a connection of its own, to a server on this machine. Raises OSError or ResponseError."""
    reader, writer = await asyncio.open_connection(*address, limit=HEAD_BYTES)
    try:
        host, port = address
        # In HTTP/1.0 no body comes in chunks: its end is told by its length, or is that of the connection.
        writer.write(f"{method} {target} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
        status, length = parse_head(await reader.readuntil(b"\r\n\r\n"))
        body = bytearray()
        while (length is None or len(body) < length) and (data := await reader.read(65_536)):
            body += data
            if len(body) > BODY_BYTES:
                raise ResponseError("the body is too long")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ResponseError("the connection ended within a response") from error
    finally:
        writer.close()
    return status, bytes(body)


def parse_head(head: bytes) -> tuple[int, int | None]:
    """Give (status, Content-Length if there is one) of a response's head. Raises ResponseError."""
    lines = head.decode("latin-1").split("\r\n")
    try:
        status = int(lines[0].split(" ", 2)[1])
        fields = dict(line.lower().split(":", 1) for line in lines[1:] if line)
        length = int(fields["content-length"]) if "content-length" in fields else None
    except (IndexError, ValueError) as error:
        raise ResponseError(f"not a response: {lines[0]!r}") from error
    if length is not None and not 0 <= length <= BODY_BYTES:
        raise ResponseError(f"a body of {length} bytes")
    return status, length
