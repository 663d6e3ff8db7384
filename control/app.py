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
import signal
import sys
import time
from functools import partial

import uvloop
from prometheus_client import CollectorRegistry

from control.api.server import Api
from control.compile.compiler import Compiler
from control.compile.explain import explain
from control.feed import Feed
from control.index.index import Index
from control.metrics import Metrics, MetricsServer
from control.model.kinds import HTTP_ROUTE, KINDS
from control.push.hub import Hub
from control.push.server import PushServer
from control.settings import Settings
from control.status import StatusWriter
from control.store.store import Store, StoreError
from control.store.token import token
from meshproxy.kit import log as process_log
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.wire.address import format_place

log = logging.getLogger(__name__)


def check(settings: Settings) -> int:
    """Say whether a control plane could start with these settings; 0 if so."""
    return uvloop.run(_check(settings))


async def _check(settings: Settings) -> int:
    try:
        store = await Store.open(settings.directory)
        await store.close()
    except StoreError as error:
        print(f"meshcontrol: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print("the configuration is good")  # noqa: T201
    return 0


def serve(settings: Settings) -> int:
    """Run until told to end; 1 if it could not start."""
    process_log.start(settings.log_level, settings.log_format)
    try:
        return uvloop.run(App(settings).run())
    except KeyboardInterrupt:
        return 0


class App:
    """One control plane."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def run(self) -> int:
        settings = self.settings
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        ending = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
        tasks = Tasks(loop)
        try:
            store = await Store.open(settings.directory)
        except StoreError as error:
            log.error("cannot start: %s", error)  # noqa: TRY400 - a sentence for the operator, no traceback
            return 1
        try:
            return await self._serve(store, tasks, ending, started)
        except (StoreError, OSError) as error:
            log.error("cannot start: %s", getattr(error, "strerror", None) or error)  # noqa: TRY400
            return 1
        finally:
            await tasks.close()
            await store.close()

    async def _serve(self, store: Store, tasks: Tasks, ending: asyncio.Event, started: float) -> int:
        settings = self.settings
        loop = asyncio.get_running_loop()
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        index = Index()
        compiler = Compiler(index, settings.trust_domain)
        hub = Hub(compiler.find, index.services_of, registry)
        statuses = StatusWriter(store, index)
        feed = Feed(
            loop, index, compiler, publish=hub.publish, on_routes=statuses.on_routes, observe=metrics.on_compiled
        )
        feed.load((stored.kind, stored.key, stored.body) for kind in KINDS for stored in store.list(kind))
        stop_listening = store.listen(feed.on_events)
        statuses.on_routes({stored.key for stored in store.list(HTTP_ROUTE)})
        metrics.watch(store, compiler, feed)
        explainer = partial(explain, compiler.find, cluster_domain=settings.cluster_domain)
        api = Api(store, token(settings.directory), hub, explainer, registry)
        push = PushServer(hub)
        scrape = MetricsServer(registry)
        for word, server, address in (
            ("api", api, settings.api),
            ("push", push, settings.push),
            ("metrics", scrape, settings.metrics),
        ):
            bound = await server.start(address)
            log.info("%s: listening on %s", word, format_place(bound))
        tasks.start(statuses.run())
        # What is there now stays: the collector need not walk over it again and again.
        gc.collect()
        gc.freeze()
        took_s = time.monotonic() - started
        log.info("ready: %d objects, %d resources, %.1f s", len(store), len(compiler.entries), took_s)
        await ending.wait()
        log.info("ending")
        stop_listening()
        feed.close()
        await push.stop()
        await api.stop()
        await scrape.stop()
        log.info("ended")
        return 0
