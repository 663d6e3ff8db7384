"""A client of a few lines: sends bytes as they are, and reads responses with an independent parser."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import h11

from tests.fakes.origin import READ_BYTES, RESET

Address = tuple[str, int]


@dataclass
class Reply:
    """One response. `headers` keep order and case; `interims` are the statuses of the 1xx before it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interims: list[int] = field(default_factory=list)
    is_complete: bool = True

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def fault(self) -> str:
        """The word that Proxy-Status carries."""
        values = self.all("proxy-status")
        return values[0].partition('details="')[2].rstrip('"') if values else ""


class Client:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._rest = b""

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def get(self, host: str = "echo", target: str = "/", *fields: str) -> Reply:
        await self.send(request("GET", target, host, *fields))
        return await self.response()

    async def post(self, body: bytes, host: str = "echo", target: str = "/", *fields: str) -> Reply:
        await self.send(request("POST", target, host, f"content-length: {len(body)}", *fields) + body)
        return await self.response()

    async def response(self, method: str = "GET") -> Reply:
        """The next response to a request of this method. Cut short it is returned as far as it came."""
        parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        parser.send(h11.EndOfMessage())
        interims: list[int] = []
        while isinstance(event := await self._event(parser), h11.InformationalResponse):
            interims.append(event.status_code)
        assert isinstance(event, h11.Response), event
        headers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers.raw_items()]
        reply = Reply(event.status_code, headers, interims=interims)
        pieces: list[bytes] = []
        while True:
            try:
                event = await self._event(parser)
            except (h11.RemoteProtocolError, ConnectionError):
                reply.is_complete = False
                break
            if isinstance(event, h11.EndOfMessage):
                reply.trailers = [(name.decode(), value.decode()) for name, value in event.headers.raw_items()]
                self._rest = parser.trailing_data[0]
                break
            assert isinstance(event, h11.Data), event
            pieces.append(bytes(event.data))
        reply.body = b"".join(pieces)
        return reply

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

    async def rest(self) -> bytes:
        """Everything until the end; a reset raises."""
        data = b""
        while piece := await self.read():
            data += piece
        return data

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.close()

    async def _event(self, parser: h11.Connection) -> h11.Event | type[h11.PAUSED]:
        while (event := parser.next_event()) is h11.NEED_DATA:
            parser.receive_data(await self.read())
        return event


async def connect(address: Address, receive_bytes: int = 0) -> Client:
    """A connection; `receive_bytes` bounds what the kernel takes in for a client that does not read."""
    sock = socket.socket()
    sock.setblocking(False)
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    try:
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Client(sock)


@contextlib.asynccontextmanager
async def connected(address: Address, receive_bytes: int = 0) -> AsyncIterator[Client]:
    client = await connect(address, receive_bytes)
    try:
        yield client
    finally:
        client.close()


async def call(address: Address, data: bytes, method: str = "GET") -> Reply:
    """One request on a connection of its own."""
    async with connected(address) as client:
        await client.send(data)
        return await client.response(method)


def request(method: str = "GET", target: str = "/", host: str = "echo", *fields: str) -> bytes:
    """A request's head."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
