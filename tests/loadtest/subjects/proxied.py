"""A proxy as it runs in a test: a small origin with instances of its own, the subject before it, and a caller."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from loadtest.block import APP_PORT, Block
from loadtest.scenario.model import Policy
from loadtest.subjects.choice import make
from loadtest.subjects.subject import Entry, Instance, Place, Subject

PATIENCE_S = 10.0


class Backend:
    """One instance. It answers with its number, or does as `mood` says: a status in digits, `hang` or `reset`."""

    def __init__(self, number: int, address: str) -> None:
        self.number = number
        self.address = (address, APP_PORT)
        self.mood = "200"
        self.seen: list[tuple[str, dict[str, str]]] = []
        """Method and headers of each request."""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def instance(self) -> Instance:
        return Instance(self.number, self.address)

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, *self.address)

    async def close(self) -> None:
        """Refuses from now on, as after a crash."""
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                await reader.readexactly(int(headers.get("content-length", "0")))
                self.seen.append((lines[0].split()[0], headers))
                if self.mood == "reset":
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    break
                if self.mood != "hang":
                    body = str(self.number)
                    head = f"HTTP/1.1 {self.mood} As Told\r\nContent-Length: {len(body)}\r\n\r\n"
                    writer.write((head + body).encode())
        self._open.discard(writer)
        writer.close()


class Proxied:
    """What a test has. `call` is a caller with a connection of its own for every request."""

    def __init__(self, block: Block, subject: Subject) -> None:
        self.subject = subject
        self.backends: list[Backend] = []
        """Those that the subject is told of."""
        self.all: list[Backend] = []
        self.entry = Entry([], "")
        self._block = block
        self._numbers = itertools.count(1)

    async def add(self) -> Backend:
        backend = Backend(next(self._numbers), self._block.address())
        await backend.listen()
        self.backends.append(backend)
        self.all.append(backend)
        return backend

    @property
    def origins(self) -> dict[str, list[Instance]]:
        return {"echo": [backend.instance for backend in self.backends]}

    @property
    def seen(self) -> list[tuple[str, dict[str, str]]]:
        return [request for backend in self.all for request in backend.seen]

    async def call(self, method: str = "GET", host: str | None = None, request_id: str = "r-0-1") -> tuple[int, str]:
        """Status and body of the answer."""
        return await asyncio.to_thread(self._call, method, host or self.entry.host, request_id)

    def _call(self, method: str, host: str, request_id: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(*self.entry.addresses[0], timeout=PATIENCE_S)
        with contextlib.closing(connection):
            body = b"x" if method == "POST" else None
            connection.request(method, "/", body, {"Host": host, "X-Request-Id": request_id})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    async def calls(self, count: int, method: str = "GET") -> Counter[tuple[int, str]]:
        return Counter([await self.call(method) for _ in range(count)])


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - what changes is in another process
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def stage(name: str, folder: Path) -> AsyncIterator[Proxied]:
    """A subject that was not started; whatever becomes of it, it is ended."""
    block = Block()
    try:
        proxied = Proxied(block, make(name, Place(folder, block)))
        try:
            yield proxied
        finally:
            await proxied.subject.stop()
            for backend in proxied.all:
                await backend.close()
    finally:
        block.release()


@contextlib.asynccontextmanager
async def running(name: str, folder: Path, *, instances: int = 4, **policy: object) -> AsyncIterator[Proxied]:
    """A subject before so many instances of the origin `echo`; the policy in the words of a scenario."""
    async with stage(name, folder) as proxied:
        for _ in range(instances):
            await proxied.add()
        entries = await proxied.subject.start(proxied.origins, Policy.model_validate(policy))
        proxied.entry = entries["echo"]
        yield proxied
