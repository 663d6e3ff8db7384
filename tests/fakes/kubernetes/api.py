"""A Kubernetes API server for tests: in a thread of the test's process, with its own event loop.

    with FakeApi() as api:
        api.put(service, endpoint_slice)
        ...api.url...

It is written from what a real one was recorded to say, and knows nothing of the control plane's code. Every method may
be called from any thread, and has taken effect when it returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import uvloop
from aiohttp import web

from tests.fakes.kubernetes.credentials import Credentials, kubeconfig
from tests.fakes.kubernetes.faults import SILENCE, Fault, Plan
from tests.fakes.kubernetes.hosts import own_host
from tests.fakes.kubernetes.requests import Asked, rules_of
from tests.fakes.kubernetes.resources import GATEWAY_API, Resource
from tests.fakes.kubernetes.server import Server
from tests.fakes.kubernetes.state import Backup, Cluster
from tests.fakes.kubernetes.watch import Watch

WAIT_S = 20.0
T = TypeVar("T")


class FakeApi:
    """`url` is where it listens, or would: it keeps its place when it is killed and started again.

    Plain http without `tls`; with it (a directory for certificates) https, and `kubeconfig` says how to get in. With a
    `token` requests need it (or a client certificate). `bookmark_s` is a minute at a real server.
    """

    def __init__(
        self,
        *,
        tls: Path | None = None,
        token: str = "",
        bookmark_s: float = 60.0,
        cluster: Cluster | None = None,
        host: str = "",
        port: int = 0,
    ) -> None:
        self.host = host or own_host()
        self.credentials = Credentials(tls, self.host) if tls else None
        self.port = port
        self._token = token
        self._loop = uvloop.new_event_loop()
        self._server = Server(cluster or Cluster(), {token} if token else set(), bookmark_s)
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._deaf: socket.socket | None = None
        self._deafness: Plan | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-api", daemon=True)
        self._thread.start()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self.credentials else 'http'}://{self.host}:{self.port}"

    def kubeconfig(self, path: Path, **user: Any) -> Path:
        """Write a kubeconfig for this server. `user` as a kubeconfig has it; by default the token, if there is one."""
        ca = self.credentials.directory / "ca.crt" if self.credentials else None
        return kubeconfig(path, self.url, ca, user or ({"token": self._token} if self._token else {}))

    # Its life

    def start(self) -> None:
        """Listen (again). As at a real server watches are served from now on: what was before is too old (410)."""
        self._run(self._start())

    def kill(self) -> None:
        """Go away at once: connections are reset, further ones refused, until `start`. What it knows stays."""
        self._run(self._kill())

    def go_deaf(self) -> None:
        """Be a black hole until `start`: open connections stay and carry nothing; new ones are taken and not served."""
        self._run(self._go_deaf())

    def stop(self) -> None:
        """End for good."""
        self._run(self._kill())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # Its objects

    @property
    def version(self) -> int:
        """The newest resourceVersion."""
        return self._server.cluster.version

    def put(self, *documents: dict[str, Any]) -> list[dict[str, Any]]:
        """Create or replace objects; what is missing of uid, times and generation is added. Returns them as stored."""
        return self._call(lambda: [self._put(document) for document in documents])

    def patch(self, kind: str, namespace: str, name: str, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Change an object in place by a function, at one go."""

        def apply() -> dict[str, Any]:
            document = self._get(kind, namespace, name)
            change(document)
            return self._put(document)

        return self._call(apply)

    def delete(self, *documents: dict[str, Any]) -> None:
        """Delete objects, each named by a document (kind, metadata.namespace, metadata.name); KeyError if not there."""

        def apply() -> None:
            for document in documents:
                metadata = document["metadata"]
                self._server.cluster.delete(
                    self._resource(document["kind"]), metadata.get("namespace", ""), metadata["name"]
                )

        self._call(apply)

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """An object as it is; KeyError if it is not there."""
        return self._call(lambda: self._get(kind, namespace, name))

    def list(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind, in the order of a list."""
        resource = self._resource(kind)
        return self._call(lambda: [self._shown(resource, item) for item in self._server.cluster.page(resource).items])

    # What it does

    def compact(self) -> None:
        """Forget the past: continue tokens and watches of versions before now get 410."""
        self._call(self._server.cluster.compact)

    def backup(self) -> Backup:
        return self._call(self._server.cluster.backup)

    def restore(self, backup: Backup) -> None:
        """Become an earlier self, with an earlier version. Connections are reset, as the server is a new one."""
        self.kill()
        self._call(lambda: self._server.cluster.restore(backup))
        self.start()

    def install(self, plural: str, *versions: str) -> None:
        """Install a CRD of the Gateway API, by default with all its versions."""
        (found,) = (resource for resource in GATEWAY_API if resource.plural == plural)
        resource = found._replace(versions=versions or found.versions)

        def apply() -> None:
            self._server.resources = [item for item in self._server.resources if item.plural != plural] + [resource]

        self._call(apply)

    def uninstall(self, plural: str) -> None:
        """Remove a CRD: its objects are deleted first, then its watches end and its path is unknown."""

        def apply() -> None:
            (resource,) = (item for item in self._server.resources if item.plural == plural)
            for item in self._server.cluster.page(resource).items:
                self._server.cluster.delete(resource, item.namespace, item.name)
            self._server.resources.remove(resource)
            for watch in self._server.watches:
                if watch.view.resource.plural == plural:
                    watch.end("in order")

        self._call(apply)

    def behave(self, *, watch_list: str = "served", has_bookmarks: bool = True, has_gzip: bool = False) -> None:
        """As another server does: `watch_list` is "served", "refused" (422) or "ignored"; `has_gzip` packs large lists
        for clients that take it.
        """
        assert watch_list in {"served", "refused", "ignored"}

        def apply() -> None:
            self._server.watch_list = watch_list
            self._server.has_bookmarks = has_bookmarks
            self._server.has_gzip = has_gzip

        self._call(apply)

    def allow(self, role: dict[str, Any] | None) -> None:
        """Grant exactly what a ClusterRole says; None: everything."""
        rules = rules_of(role) if role is not None else None
        self._call(lambda: setattr(self._server, "rules", rules))

    def accept(self, *tokens: str) -> None:
        """The tokens that are good from now on."""
        self._token = tokens[0]
        self._call(lambda: setattr(self._server, "tokens", set(tokens)))

    # What goes wrong

    def fail(self, fault: Fault, resource: str = "", verb: str = "", times: int = -1) -> Callable[[], None]:
        """Let requests meet a fault: those for a kind (by its plural), of a verb (list, watch, get, ...), so many.

        The latest that fits is taken. Returns what takes it back.
        """
        plan = self._call(lambda: self._server.faults.add(fault, resource, verb, times))
        return lambda: self._call(lambda: self._server.faults.remove(plan))

    def heal(self) -> None:
        """No faults any more; watches that were silenced stay so, as nobody knows what they missed."""
        self._call(self._server.faults.clear)

    def silence(self, resource: str = "") -> None:
        """Open watches (of one kind) say nothing any more."""
        self._each(resource, lambda watch: setattr(watch, "is_silent", True))

    def inject(self, data: bytes, resource: str = "") -> None:
        """Write bytes into open watches (of one kind), whatever they are."""
        self._each(resource, lambda watch: watch.inject(data))

    def cut(self, resource: str = "") -> None:
        """Reset the connections of open watches (of one kind)."""
        self._each(resource, lambda watch: watch.end("reset"))

    def end(self, resource: str = "") -> None:
        """End open watches (of one kind) in order, as a timeout does."""
        self._each(resource, lambda watch: watch.end("in order"))

    def hook(self, path: str, answer: Callable[[str, bytes], Any]) -> None:
        """Let a path of the test's own be answered by a function of method and body, in the server's loop."""
        self._call(lambda: self._server.hooks.update({path: answer}))

    def in_loop(self, function: Callable[[Server], T]) -> T:
        """Run a function in the server's loop, and wait for its result."""
        return self._call(lambda: function(self._server))

    # What was asked

    @property
    def asked(self) -> list[Asked]:
        """The requests so far."""
        return self._call(lambda: list(self._server.asked))

    def watching(self, resource: str = "") -> int:
        """How many watches (of one kind) are open."""
        return self._call(lambda: len(self._open(resource)))

    def wait_watching(self, resource: str = "", count: int = 1) -> None:
        self.until(lambda: self.watching(resource) >= count)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds; for tests that do not run in a loop."""
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.002)

    # In the loop

    def _put(self, document: dict[str, Any]) -> dict[str, Any]:
        resource = self._resource(document["kind"])
        return self._shown(resource, self._server.cluster.put(resource, document))

    def _get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        resource = self._resource(kind)
        item = self._server.cluster.get(resource, namespace, name)
        if item is None:
            raise KeyError(f"{kind} {namespace}/{name}")
        return self._shown(resource, item)

    def _shown(self, resource: Resource, item: Any) -> dict[str, Any]:
        return {"apiVersion": resource.api_version(), "kind": resource.kind, **item.document}

    def _resource(self, kind: str) -> Resource:
        for resource in self._server.resources:
            if resource.kind == kind:
                return resource
        raise KeyError(f"no kind {kind}")

    def _open(self, resource: str) -> list[Watch]:
        return [watch for watch in self._server.watches if resource in {"", watch.view.resource.plural}]

    def _each(self, resource: str, act: Callable[[Watch], None]) -> None:
        def apply() -> None:
            for watch in self._open(resource):
                act(watch)

        self._call(apply)

    async def _start(self) -> None:
        if self._deaf and self._deafness:
            self._deaf.close()
            self._deaf = None
            self._server.faults.remove(self._deafness)
            await self._kill()
        self._server.cluster.reopen()
        self._web = web.Server(self._server.handle, handler_cancellation=True, access_log=None)
        context = self.credentials.context() if self.credentials else None
        self._listener = await self._loop.create_server(self._web, self.host, self.port, ssl=context, backlog=512)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _kill(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None
        if self._web:
            for connection in self._web.connections:
                if connection.transport:
                    connection.transport.abort()
            await self._web.shutdown(0)
            self._web = None

    async def _go_deaf(self) -> None:
        assert self._listener
        self._listener.close()
        self._listener = None
        for watch in self._server.watches:
            watch.is_silent = True
        self._deafness = self._server.faults.add(SILENCE, "", "", -1)
        self._deaf = socket.create_server((self.host, self.port), backlog=512)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_S)

    def _call(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        found: T = self._run(call())
        return found


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[FakeApi]:
    """A fake API server for as long as a test needs it."""
    with FakeApi(**settings) as api:
        yield api
