"""What a subject's own HTTP addresses are asked, one request at a time; not for load."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from typing import Any

from loadtest.subjects.readiness import ANSWER_S
from loadtest.subjects.subject import Address

_MOST_BYTES = 64 * 1024 * 1024
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)", re.IGNORECASE | re.MULTILINE)


async def ask(
    address: Address, path: str, method: str = "GET", *, document: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """The status and the body of the answer; `document` is sent as JSON. Raises OSError, also when not HTTP or whole.

    As HTTP/1.0: what answers may neither cut the body into chunks nor keep the connection, so its end is the end.
    """
    body = b"" if document is None else json.dumps(document).encode()
    fields = {"Host": f"{address[0]}:{address[1]}", "Content-Length": str(len(body)), **(headers or {})}
    head = f"{method} {path} HTTP/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    async with asyncio.timeout(ANSWER_S):
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(head.encode() + body)
            answer = await _read(reader)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    top, end, content = answer.partition(b"\r\n\r\n")
    words = top.partition(b"\r\n")[0].split()
    if not top.startswith(b"HTTP/1.") or len(words) < 2 or not words[1].isdigit():
        raise ConnectionError(f"{address[0]}:{address[1]} does not speak HTTP")
    length = _LENGTH.search(top)
    if not end or (length and len(content) < int(length[1])):
        raise ConnectionError(f"{address[0]}:{address[1]} ended its answer too early")
    return int(words[1]), content


async def _read(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    size = 0
    while piece := await reader.read(65_536):
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise ConnectionError(f"an answer of more than {_MOST_BYTES} bytes")
    return b"".join(pieces)
