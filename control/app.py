r"""The control plane on one page: read this first.

    Store --events--> Feed: Index -> Compiler --changed names--> Hub --pushes--> sidecars --> Ack
      ^                 \--touched routes--> StatusWriter --> Store
      Api (REST)

The store is where objects live; the index and the compiled resources are made from it at every start. Everything is on
one event loop but for the store's writer, which has a thread of its own.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
import time
from functools import partial
from typing import Protocol

import uvloop
from prometheus_client import CollectorRegistry

from control import log as control_log
from control.api.server import Api
from control.compile.compiler import Compiler
from control.compile.explain import explain
from control.feed import Feed
from control.index.index import Index
from control.metrics import Metrics, MetricsServer
from control.model.kinds import KINDS
from control.push.hub import Hub
from control.push.server import PushServer
from control.settings import Address, Settings
from control.status import StatusWriter
from control.store import token
from control.store.store import Store, StoreError, check_directory
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.wire.address import format_place

log = logging.getLogger(__name__)

GC_THRESHOLDS = (50_000, 20, 20)
"""A push to a thousand sidecars makes thousands of objects that are gone with their Acks, and no cycles: to look for
some every 700 objects takes a tenth of its time."""

MAX_FILES = 8192
"""More than all addresses together accept connections."""


class StartError(Exception):
    """The control plane cannot start; the message says why, for an operator."""


class Server(Protocol):
    async def start(self, address: Address) -> Address: ...
    async def stop(self) -> None: ...


def check(settings: Settings) -> int:
    """Say whether a control plane could start with these settings; 0 if so. Nothing is changed."""
    path = settings.directory / token.NAME
    try:
        check_directory(settings.directory)
        if path.exists():
            token.read(path)
    except StoreError as error:
        print(f"meshcontrol: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print("the configuration is good")  # noqa: T201
    return 0


def serve(settings: Settings) -> int:
    """Run until told to end; 1 if it could not start, or not go on."""
    control_log.start(settings.log_level, settings.log_format)
    _allow_files()
    try:
        return uvloop.run(App(settings).run())
    except KeyboardInterrupt:
        return 0


class App:
    """One control plane."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._ending = asyncio.Event()
        self._status = 0

    async def run(self) -> int:
        """Return the exit status."""
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        tasks = Tasks(loop)
        try:
            store = await Store.open(self.settings.directory)
            try:
                await self._serve(store, tasks, started)
            finally:
                await tasks.close()
                await store.close()
        except (StoreError, StartError) as error:
            log.error("cannot start: %s", error)  # noqa: TRY400 - a sentence for the operator, no traceback
            return 1
        log.info("ended")
        return self._status

    async def _serve(self, store: Store, tasks: Tasks, started: float) -> None:
        settings = self.settings
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        index = Index()
        compiler = Compiler(index, settings.trust_domain)
        hub = Hub(compiler.find, index.services_of, registry)
        statuses = StatusWriter(store, index)
        feed = Feed(
            asyncio.get_running_loop(),
            index,
            compiler,
            publish=hub.publish,
            on_routes=statuses.on_routes,
            observe=metrics.on_compiled,
        )
        feed.load(
            ((stored.kind, stored.key, stored.body) for kind in KINDS for stored in store.list(kind)), store.version
        )
        stop_listening = store.listen(feed.on_events)
        statuses.on_routes(set(index.routes))
        metrics.watch(store, compiler, feed)
        explainer = partial(explain, compiler.find, cluster_domain=settings.cluster_domain)
        api = Api(store, token.token(settings.directory), hub, explainer, registry)
        push = PushServer(hub)
        scrape = MetricsServer(registry)
        try:
            await _listen("api", api, settings.api)
            await _listen("push", push, settings.push)
            await _listen("metrics", scrape, settings.metrics)
            tasks.start(statuses.run())
            tasks.start(self._end_with(store))
            # What is there now stays: the collector need not walk over it again and again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            took_s = time.monotonic() - started
            log.info("ready: %d objects, %d resources, %.1f s", len(store), len(compiler.entries), took_s)
            await self._ending.wait()
            log.info("ending")
        finally:
            stop_listening()
            feed.close()
            await asyncio.gather(push.stop(), api.stop(), scrape.stop())

    async def _end_with(self, store: Store) -> None:
        """A store that has failed takes no write any more; started anew, it says why, or it works again."""
        log.error("the store has failed: %s", await store.ended())
        self._status = 1
        self._ending.set()


def _allow_files() -> None:
    """Each connection is an open file, and the usual limit is for programs that have no thousand sidecars."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


async def _listen(flag: str, server: Server, address: Address) -> None:
    try:
        bound = await server.start(address)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StartError(f"--{flag} {format_place(address)}: {reason}") from None
    log.info("%s: listening on %s", flag, format_place(bound))
