"""A control plane that does what a test says, on a real socket: aiohttp's WebSocket, `wire/stream.py`'s messages."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable

from aiohttp import WSMsgType, web

from meshproxy.wire.snapshot import Entry
from meshproxy.wire.stream import (
    PATH,
    Ack,
    Answer,
    FromControl,
    FromSidecar,
    Hello,
    Nack,
    Push,
    Subscribe,
    Unsubscribe,
    decode_from_sidecar,
    encode,
    namespace_of,
)
from tests.fakes.loop import until
from tests.fakes.pushes import push


class Line:
    """One stream of a sidecar. `received` is everything that it said."""

    def __init__(self, pusher: Pusher, socket: web.WebSocketResponse) -> None:
        self._pusher = pusher
        self.socket = socket
        self.received: list[FromSidecar] = []
        self.names: set[str] = set()
        self.is_closed = False

    def of(self, kind: type) -> list:
        return [message for message in self.received if isinstance(message, kind)]

    @property
    def hello(self) -> Hello:
        assert isinstance(self.received[0], Hello)
        return self.received[0]

    @property
    def acks(self) -> list[Ack]:
        return self.of(Ack)

    @property
    def nacks(self) -> list[Nack]:
        return self.of(Nack)

    @property
    def answers(self) -> list[Answer]:
        return self.of(Answer)

    async def send(self, message: FromControl) -> None:
        await self.socket.send_str(encode(message).decode())

    async def push(self, message: Push) -> Ack | Nack:
        """Send it and wait for what comes of it."""
        await self.send(message)
        await until(lambda: self._outcome(message.nonce))
        outcome = self._outcome(message.nonce)
        assert outcome is not None
        return outcome

    def _outcome(self, nonce: str) -> Ack | Nack | None:
        return next((message for message in (*self.acks, *self.nacks) if message.nonce == nonce), None)

    async def on_message(self, message: FromSidecar) -> None:
        self.received.append(message)
        if isinstance(message, Subscribe):
            self.names.update(message.names)
            if self._pusher.is_answering:
                await self.send(self._answer(message.names))
        elif isinstance(message, Unsubscribe):
            self.names.difference_update(message.names)

    def _answer(self, names: Iterable[str]) -> Push:
        known = self.hello.known
        found, removed = [], []
        for name in names:
            if (namespace := namespace_of(name)) is not None:
                found += [e for n, e in self._pusher.objects.items() if n.startswith(f"service/{namespace}/")]
            elif name in self._pusher.objects:
                found.append(self._pusher.objects[name])
            else:
                removed.append(name)
        return push(*(e for e in found if known.get(e.name) != e.version), removed=removed)


class Pusher:
    """Answers subscriptions from `objects` while `is_answering`. `lines`: the streams so far, the newest last."""

    def __init__(self) -> None:
        self.objects: dict[str, Entry] = {}
        self.lines: list[Line] = []
        self.is_answering = True
        self.answers_pings = True
        self.url = ""
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    @property
    def line(self) -> Line:
        return self.lines[-1]

    def put(self, *entries: Entry) -> None:
        self.objects.update({entry.name: entry for entry in entries})

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, at the same port again after a `stop`."""
        app = web.Application()
        app.router.add_get(PATH, self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=tls)
        await self._site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"{'wss' if tls else 'ws'}://{'localhost' if tls else '127.0.0.1'}:{self.port}"

    async def stop(self) -> None:
        """End, and cut every stream."""
        if self._site is not None:
            await self._site.stop()  # first, or whoever is cut comes again at once
            self._site = None
        for line in self.lines:
            if line.socket._req is not None and (transport := line.socket._req.transport) is not None:
                transport.abort()
        await until(lambda: all(line.is_closed for line in self.lines))
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=self.answers_pings, compress=False)
        await socket.prepare(request)
        line = Line(self, socket)
        self.lines.append(line)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await line.on_message(decode_from_sidecar(message.data))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            line.is_closed = True
        return socket


@contextlib.asynccontextmanager
async def pushing(*entries: Entry) -> AsyncIterator[Pusher]:
    pusher = Pusher()
    pusher.put(*entries)
    await pusher.start()
    try:
        yield pusher
    finally:
        await pusher.stop()
