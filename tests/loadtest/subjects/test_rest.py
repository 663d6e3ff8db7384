from __future__ import annotations

import asyncio

import pytest

from loadtest.subjects.rest import ask


async def asked(answer: bytes) -> tuple[int, bytes]:
    """What is made of this answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        return await ask(server.sockets[0].getsockname(), "/")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, b"ok")),
        (b"HTTP/1.0 503 No\r\n\r\nuntil the end", (503, b"until the end")),
        (b"HTTP/1.0 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.0 200 OK\r\n\r\nContent-Length: 99\r\n", (200, b"Content-Length: 99\r\n")),
    ],
)
async def test_status_and_body_are_given(answer: bytes, found: tuple[int, bytes]) -> None:
    assert await asked(answer) == found


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 3\r\n",
        b"HTTP/1.1 200 OK\r\n",
    ],
)
async def test_an_answer_that_is_not_whole_is_an_error(answer: bytes) -> None:
    with pytest.raises(ConnectionError, match="too early"):
        await asked(answer)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n\r\n"])
async def test_what_is_not_http_is_an_error(answer: bytes) -> None:
    with pytest.raises(ConnectionError, match="does not speak HTTP"):
        await asked(answer)
