"""A listener with protocols behind it that send back what comes, and what a test needs to talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import uvloop

from meshproxy.proxy.listener import Listener
from meshproxy.tls.reload import IdentityStore


class Echo(asyncio.Protocol):
    """Sends back what comes, preceded by the identity of the peer; knows its stack's set of connections."""

    def __init__(self, stack: Stack, peer: str) -> None:
        self.stack = stack
        self.peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.stack.connections.add(self)
        self.stack.seen.append(self.peer)
        sock = transport.get_extra_info("socket")
        self.stack.nodelay.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.peer.encode() + b">" + data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stack.connections.discard(self)


class Stack:
    """A listener with echoing protocols behind it, on a port of the system's choice."""

    def __init__(self, store: IdentityStore | None, detects: bool, **limits: Any) -> None:
        self.connections: set[Echo] = set()
        self.seen: list[str] = []
        self.nodelay: list[int] = []
        self.events: list[str] = []
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.sock.setblocking(False)
        self.address = self.sock.getsockname()
        self.listener = Listener(
            asyncio.get_running_loop(),
            self.sock,
            self.connections,
            lambda: Echo(self, ""),
            lambda word, _detail: self.events.append(word),
            tls_factory=(lambda peer: Echo(self, peer)) if detects else None,
            identities=store,
            **limits,
        )
        self.listener.start()


@contextlib.asynccontextmanager
async def serving(store: IdentityStore | None = None, *, detects: bool = True, **limits: Any) -> AsyncIterator[Stack]:
    """A stack; nothing of it may be left afterwards, and nothing may have reached the loop's exception handler."""
    loop = asyncio.get_running_loop()
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))
    stack = Stack(store, detects, **limits)
    try:
        yield stack
    finally:
        stack.listener.close()
        for protocol in list(stack.connections):
            protocol.transport.abort()
        await until(lambda: not stack.connections and not stack.listener.halfway)
    assert problems == []


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - counters and sockets of others, which set no event
            await asyncio.sleep(0.001)


def on_uvloop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        uvloop.run(test(*args, **kwargs))
        gc.collect()  # a socket left open is told by its finalizer, and that is an error

    return run


async def talk(stack: Stack, context: ssl.SSLContext | None = None, name: str | None = None) -> bytes:
    """What the stack answers to `hello`; empty when it closes instead, whatever way."""
    try:
        reader, writer = await asyncio.open_connection(
            *stack.address, ssl=context, server_hostname=(name or "x") if context else None
        )
    except (ssl.SSLError, ConnectionError):
        return b""
    try:
        writer.write(b"hello")
        return await asyncio.wait_for(reader.read(1000), 5)
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()
