"""The REST API over a real store, on a port of its own: on the test's loop, or in a thread for clients that block."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import ClientSession
from msgspec import Struct
from prometheus_client import CollectorRegistry

from control.api.protocols import Checks, Proxies
from control.api.server import Api
from control.api.writer import Writer
from control.model.check import Check
from control.store.store import Store

TOKEN = "t0ken-of-the-tests-0123456789"
GATEWAY = "/apis/gateway.networking.k8s.io/v1"


class Row(Struct):
    """One sidecar, as the push side tells of it."""

    namespace: str
    name: str
    serviceAccount: str = "default"  # noqa: N815
    version: str = "0.1.0"
    address: str = "127.0.0.1:40000"
    connectedAt: str = "2026-01-31T12:00:00Z"  # noqa: N815
    subscribed: int = 12
    synced: bool = True
    unacknowledged: int = 0
    staleForS: float = 0.0  # noqa: N815
    lastNack: list[dict[str, str]] = []  # noqa: N815
    waiting: list[str] = []


class Connected:
    """Sidecars that answer what `answers` says, by what they are asked for; an exception is raised."""

    def __init__(self, *rows: Row) -> None:
        self.rows = list(rows)
        self.answers: dict[str, str | Exception] = {"config": "{}", "endpoints": "[]", "metrics": "up 1\n"}

    def proxies(self) -> list[Row]:
        return self.rows

    async def ask(self, namespace: str, name: str, what: str) -> str:
        if not any((row.namespace, row.name) == (namespace, name) for row in self.rows):
            raise LookupError(name)
        answer = self.answers[what]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Way(Struct):
    url: str
    caller: str
    headers: list[tuple[str, str]]


def explained(url: str, namespace: str, account: str, method: str, headers: list[tuple[str, str]]) -> Way:
    if not url.startswith("http://"):
        raise ValueError(f"{url!r} is no URL; allowed: http://HOST/PATH")
    return Way(f"{method} {url}", f"{namespace}/{account}", headers)


async def checked() -> list[Check]:
    return [Check("Objects", "store", "ok", "7 objects")]


class Served:
    """A running API and a client that has the token."""

    def __init__(self, store: Store, api: Api, url: str, session: ClientSession) -> None:
        self.store = store
        self.api = api
        self.url = url
        self.session = session

    async def ask(self, method: str, path: str, document: Any = None, **options: Any) -> tuple[int, Any]:
        """Return status and body, decoded if it is JSON."""
        if document is not None:
            options["data"] = document if isinstance(document, bytes) else json.dumps(document).encode()
            options["headers"] = {"Content-Type": "application/json", **options.get("headers", {})}
        async with self.session.request(method, f"{self.url}{path}", **options) as response:
            body = await response.read()
            return response.status, json.loads(body) if response.content_type == "application/json" else body.decode()

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return await self.ask("GET", path, headers=headers)

    async def post(self, path: str, document: Any) -> tuple[int, Any]:
        return await self.ask("POST", path, document)

    async def put(self, path: str, document: Any) -> tuple[int, Any]:
        return await self.ask("PUT", path, document)

    async def merge(self, path: str, patch: Any) -> tuple[int, Any]:
        return await self.ask("PATCH", path, patch, headers={"Content-Type": "application/merge-patch+json"})

    async def apply(self, path: str, document: Any) -> tuple[int, Any]:
        return await self.ask("PATCH", path, document, headers={"Content-Type": "application/apply-patch+yaml"})

    async def delete(self, path: str, options: Any = None) -> tuple[int, Any]:
        return await self.ask("DELETE", path, options)

    @asynccontextmanager
    async def watch(self, path: str, **headers: str) -> AsyncIterator[Lines]:
        async with self.session.get(f"{self.url}{path}", headers=headers) as response:
            assert response.status == 200, await response.text()
            yield Lines(response.content)


class Lines:
    """The events of a watch."""

    def __init__(self, content: Any) -> None:
        self._content = content

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            line = await self._content.readline()
        if not line:
            raise EOFError
        event: dict[str, Any] = json.loads(line)
        return event

    async def rest(self) -> AsyncIterator[dict[str, Any]]:
        """Yield events until the watch ends."""
        try:
            while True:
                yield await self.next()
        except EOFError:
            return

    async def told(self, count: int) -> list[tuple[str, str]]:
        """Return type and name of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


@asynccontextmanager
async def serve(
    directory: Path,
    proxies: Proxies | None = None,
    registry: CollectorRegistry | None = None,
    checks: Checks = checked,
) -> AsyncIterator[Served]:
    store = await Store.open(directory)
    api = Api(store, Writer(store), TOKEN, proxies or Connected(), explained, checks, registry or CollectorRegistry())
    host, port = await api.start(("127.0.0.1", 0))
    try:
        async with ClientSession(
            headers={"Authorization": f"Bearer {TOKEN}", "User-Agent": "tester/1.0"}, read_bufsize=2**22
        ) as session:
            yield Served(store, api, f"http://{host}:{port}", session)
    finally:
        await api.stop()
        await store.close()


@contextmanager
def serve_in_thread(directory: Path, proxies: Connected | None = None) -> Iterator[str]:
    """Yield the URL of an API that runs in a thread."""
    started = threading.Event()
    place: dict[str, Any] = {}

    async def run() -> None:
        async with serve(directory, proxies) as served:
            place.update(url=served.url, loop=asyncio.get_running_loop(), end=asyncio.Event())
            started.set()
            await place["end"].wait()

    thread = threading.Thread(target=lambda: uvloop.run(run()))
    thread.start()
    try:
        assert started.wait(10)
        yield place["url"]
    finally:
        place["loop"].call_soon_threadsafe(place["end"].set)
        thread.join()
