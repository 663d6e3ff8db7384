"""A scripted endpoint: every connection is handed to a script, which reads requests and answers byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import h11

READ_BYTES = 262_144
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, no time: close() sends a reset


@dataclass
class Request:
    """One request as it arrived. `headers` keep order and case."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    connection: int = 0

    def __getitem__(self, name: str) -> str:
        """The only field of this name."""
        (value,) = self.all(name)
        return value

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Connection:
    """One accepted connection, as its script sees it. `number` counts the origin's connections from 0."""

    def __init__(self, origin: Origin, sock: socket.socket, number: int) -> None:
        self.origin = origin
        self.sock = sock
        self.number = number
        self._loop = asyncio.get_running_loop()
        self._parser = _parser()
        self._rest = b""

    async def read(self) -> bytes:
        """What comes next, past what was parsed; empty at the end."""
        rest, self._rest = self._rest, b""
        return rest or await self._loop.sock_recv(self.sock, READ_BYTES)

    async def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = await self.read()
            assert piece, f"the end after {data!r}"
            data += piece
        self._rest = data[size:]
        return data[:size]

    async def head(self) -> Request | None:
        """The next request's head; None when the other side has ended the connection."""
        self._parser = _parser()
        event = await self._event()
        if isinstance(event, h11.ConnectionClosed):
            return None
        assert isinstance(event, h11.Request), event
        headers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers.raw_items()]
        request = Request(event.method.decode(), event.target.decode(), headers, connection=self.number)
        self.origin.requests.append(request)
        return request

    async def some_body(self) -> bytes:
        """What has come of the body of the request whose head was read."""
        event = await self._event()
        assert isinstance(event, h11.Data), event
        return bytes(event.data)

    async def body(self, request: Request) -> bytes:
        """The rest of the request whose head was read."""
        pieces: list[bytes] = []
        while True:
            event = await self._event()
            if isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                request.trailers = [(name.decode(), value.decode()) for name, value in event.headers.raw_items()]
                break
            else:
                raise ConnectionResetError("the request was cut short")
        self._rest = self._parser.trailing_data[0]
        request.body = b"".join(pieces)
        return request.body

    async def request(self) -> Request | None:
        """The next request with its body; None when the other side has ended the connection."""
        request = await self.head()
        if request is not None:
            await self.body(request)
        return request

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.sock, data)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.close()

    async def until_gone(self) -> bytes:
        """Wait for the other side to end the connection; returns what it still sent."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while piece := await self.read():
                data += piece
        return data

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._parser.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._parser.receive_data(await self.read())


Script: TypeAlias = Callable[[Connection], Awaitable[None]]


class Origin:
    """Listens on loopback. `requests` are all heads that were read, in order; `connections` counts those accepted."""

    def __init__(self, script: Script, host: str = "127.0.0.1") -> None:
        self.script = script
        self.requests: list[Request] = []
        self.connections = 0
        self.failures: list[BaseException] = []
        self._sock = socket.create_server((host, 0), backlog=512)
        self._sock.setblocking(False)
        self.host, self.port = self._sock.getsockname()[:2]
        self._tasks: set[asyncio.Task[None]] = set()
        # Not a task that waits in sock_accept: cancelled at the wrong moment, it would lose a socket.
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock, self._on_acceptable)

    @property
    def open(self) -> int:
        """Connections whose script still runs."""
        return len(self._tasks)

    def _on_acceptable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            sock, _ = self._sock.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            connection = Connection(self, sock, self.connections)
            self.connections += 1
            task = asyncio.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: sock.close())  # also of a task that was cancelled before it began

    async def _serve(self, connection: Connection) -> None:
        try:
            await self.script(connection)
        except (ConnectionError, h11.RemoteProtocolError):
            pass  # the other side has ended the connection, as it may
        except Exception as failure:  # noqa: BLE001 - told at the end of the test
            self.failures.append(failure)
        finally:
            connection.sock.close()

    def cut(self) -> None:
        """End the connections that are open; new ones are served."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Refuse connections from here on, and cut those that are open."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def serving(script: Script, host: str = "127.0.0.1") -> AsyncIterator[Origin]:
    origin = Origin(script, host)
    try:
        yield origin
    finally:
        await origin.stop()
    assert origin.failures == []


def answering(reply: bytes) -> Script:
    """Every request gets the same bytes, on a connection that is kept."""

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(reply)

    return script


def closing(reply: bytes) -> Script:
    """One request is answered, and the connection closed."""

    async def script(connection: Connection) -> None:
        if await connection.request():
            await connection.send(reply)

    return script


def ok(body: bytes = b"ok") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def status(code: int, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d Some Reason\r\ncontent-length: %d\r\n\r\n%b" % (code, len(body), body)


def _parser() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
