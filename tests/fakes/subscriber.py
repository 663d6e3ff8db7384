"""A minimal sidecar's side of the push stream: `Holding` is what it holds, `Subscriber` does it over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import aiohttp
import msgspec

from meshproxy.wire import names, stream
from meshproxy.wire.address import endpoint_order, format_place
from meshproxy.wire.canonical import version_of
from meshproxy.wire.problem import Problem
from meshproxy.wire.resources import SCHEMA, Endpoints, Resource
from meshproxy.wire.stream import Ack, Answer, Ask, Hello, Nack, Node, Push, Subscribe, Unsubscribe, Update

Judge = Callable[[str, Resource], str]
"""(name, resource) -> why it is refused, or nothing."""


class Holding:
    """Takes pushes whole or not at all, and checks each version against the content's hash."""

    def __init__(self, judge: Judge = lambda name, resource: "") -> None:
        self.versions: dict[str, str] = {}
        self.resources: dict[str, Resource] = {}
        self.absent: set[str] = set()
        self.judge = judge
        self.patches = 0

    def take(self, push: Push) -> list[Problem]:
        """Return why the push is refused; nothing if it was taken."""
        assert len({*push.removed, *(update.name for update in push.updated)}) == len(push.removed) + len(push.updated)
        new: dict[str, tuple[str, Resource]] = {}
        problems = []
        for update in push.updated:
            resource = self._resource(update)
            if resource is None:
                problems.append(Problem(update.name, "patch.base", "is another one"))
                continue
            assert version_of(resource) == update.version
            if reason := self.judge(update.name, resource):
                problems.append(Problem(update.name, "", reason))
            new[update.name] = update.version, resource
        if problems:
            return problems
        for name, (version, resource) in new.items():
            self.versions[name], self.resources[name] = version, resource
            self.absent.discard(name)
        self.patches += sum(update.patch is not None for update in push.updated)
        for name in push.removed:
            self.forget(name)
            self.absent.add(name)
        return []

    def forget(self, name: str) -> None:
        self.versions.pop(name, None)
        self.resources.pop(name, None)
        self.absent.discard(name)

    def _resource(self, update: Update) -> Resource | None:
        patch = update.patch
        if patch is None:
            return msgspec.json.decode(update.resource, type=names.TYPES[names.kind_of(update.name)])
        if self.versions.get(update.name) != patch.base:
            return None
        old = self.resources[update.name]
        assert isinstance(old, Endpoints)
        items = {(item.address, item.port): item for item in old.endpoints}
        for text in patch.remove:
            [place] = [place for place in items if format_place(place) == text]
            del items[place]
        items.update({(item.address, item.port): item for item in patch.upsert})
        return Endpoints(endpoints=[items[place] for place in sorted(items, key=lambda place: endpoint_order(*place))])


class Subscriber:
    """Connects, follows names, takes pushes and answers them, unless `is_silent`. `closed`: code and reason."""

    def __init__(self, port: int, namespace: str = "shop", workload: str = "front-1", **holding: Any) -> None:
        self.url = f"http://127.0.0.1:{port}{stream.PATH}"
        self.node = Node(namespace=namespace, service_account="default", workload=workload, version="test")
        self.holding = Holding(**holding)
        self.pushes: list[Push] = []
        self.problems: list[Problem] = []
        self.waiting: list[str] = []
        self.answer: Callable[[Ask], Answer | None] = lambda ask: Answer(id=ask.id, body=f"{ask.what} of a fake")
        self.is_silent = False
        self.closed: tuple[int | None, str] | None = None
        self._client: aiohttp.ClientSession | None = None
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self, *names: str, hello: bool = True) -> Subscriber:
        """Connect; with Hello, what is held is known, and the names are followed."""
        self._client = aiohttp.ClientSession()
        self.socket = await self._client.ws_connect(self.url, max_msg_size=stream.MAX_FRAME_BYTES, autoclose=True)
        self.closed = None
        self.pushes = []
        self._task = asyncio.create_task(self._read(self.socket))
        if hello:
            await self.send(Hello(node=self.node, schema=SCHEMA, known=dict(self.holding.versions)))
            await self.subscribe(*names)
        return self

    async def subscribe(self, *names: str) -> None:
        if names:
            await self.send(Subscribe(names=list(names)))

    async def unsubscribe(self, *names: str) -> None:
        for name in names:
            self.holding.forget(name)
        await self.send(Unsubscribe(names=list(names)))

    async def send(self, message: stream.FromSidecar) -> None:
        await self.send_text(stream.encode(message).decode())

    async def send_text(self, text: str) -> None:
        assert self.socket is not None
        await self.socket.send_str(text)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._client is not None:
            # The socket first: closing a session alone leaves it to the collector.
            if self.socket is not None:
                await self.socket.close()
            await self._client.close()
            await asyncio.sleep(0)
            self._client = None

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                self.closed = socket.close_code, str(message.extra or "")
                return
            await self._on_message(stream.decode_from_control(message.data))

    async def _on_message(self, message: stream.FromControl) -> None:
        if isinstance(message, Ask):
            answer = self.answer(message)
            if answer is not None:
                await self.send(answer)
            return
        self.pushes.append(message)
        if self.is_silent:
            return
        self.problems = self.holding.take(message)
        if self.problems:
            await self.send(Nack(nonce=message.nonce, problems=self.problems))
        else:
            await self.send(Ack(nonce=message.nonce, waiting=self.waiting))
