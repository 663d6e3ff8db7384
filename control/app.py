r"""The control plane on one page: read this first.

    Embedded (a store) --\
                           >-- changes --> Feed: Index -> Compiler --changed names--> Hub --pushes--> sidecars --> Ack
    Cluster (Kubernetes) -/
            ^
            Api (REST)

Where the objects live is decided once, at the start; the index and the compiled resources are made from them at every
start. Everything is on one event loop but for the embedded store's writer, which has a thread of its own.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from functools import partial
from typing import Protocol

import uvloop
from prometheus_client import CollectorRegistry

from control import log as control_log
from control.api.protocols import Objects
from control.api.readonly import ReadOnly
from control.api.server import Api
from control.api.writer import Writer
from control.checks import gather
from control.cluster import Cluster
from control.compile.compiler import Compiler
from control.compile.explain import explain
from control.embedded import Embedded
from control.feed import Feed
from control.index.index import Index
from control.kube import connection
from control.kube.failure import SettingsError
from control.metrics import Metrics, MetricsServer
from control.model.check import Check
from control.model.kinds import Kind
from control.model.objects import Key
from control.push.hub import Hub
from control.push.server import PushServer
from control.settings import Address, Settings
from control.store import token
from control.store.store import StoreError, check_directory
from meshproxy.kit import files
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.wire.address import format_place

log = logging.getLogger(__name__)

GC_THRESHOLDS = (50_000, 20, 20)
"""A push to a thousand sidecars makes thousands of objects that are gone with their Acks, and no cycles: to look for
some every 700 objects takes a tenth of its time."""
START_THRESHOLDS = (500_000, 100, 100)
"""While everything is read there is much that stays and little that goes."""

MAX_FILES = 8192
"""More than all addresses together accept connections."""


class StartError(Exception):
    """The control plane cannot start; the message says why, for an operator."""


class Server(Protocol):
    async def start(self, address: Address) -> Address: ...
    async def stop(self) -> None: ...


class Source(Protocol):
    """Where the objects live."""

    @property
    def objects(self) -> Objects: ...
    @property
    def kinds(self) -> tuple[Kind, ...]: ...
    @property
    def writer(self) -> Writer | ReadOnly: ...

    def on_routes(self, keys: set[Key]) -> None:
        """Take note that the status of these routes may have changed."""
        ...

    def unready(self) -> str:
        """Say why not all objects can be told yet; empty once they can."""
        ...

    async def follow(self, feed: Feed, tasks: Tasks) -> None:
        """Load all objects into the feed, and keep it in step from then on; returns when they are loaded."""
        ...

    async def ended(self) -> str:
        """Wait until the source cannot go on; returns why."""
        ...

    async def checks(self) -> list[Check]:
        """Say what is well with it, and what is not, within about ten seconds."""
        ...

    async def close(self) -> None: ...


def check(settings: Settings) -> int:
    """Say whether a control plane could start with these settings; 0 if so. Nothing is changed, nothing is asked."""
    try:
        if settings.cluster is None:
            check_directory(settings.directory)
        else:
            connection.load(settings.cluster.kubeconfig, settings.cluster.context)
        if settings.token_file.exists():
            token.read(settings.token_file)
    except (StoreError, SettingsError) as error:
        print(f"meshcontrol: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print("the configuration is good")  # noqa: T201
    return 0


def serve(settings: Settings) -> int:
    """Run until told to end; 1 if it could not start, or not go on."""
    control_log.start(settings.log_level, settings.log_format)
    files.allow(MAX_FILES)
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
        gc.set_threshold(*START_THRESHOLDS)
        # Our own store gives objects uids of its own; only a cluster's endpoints name those of its Pods.
        index = Index(has_uids=self.settings.cluster is not None)
        registry = CollectorRegistry()
        try:
            source = await self._open(index, registry)
            try:
                await self._serve(source, index, registry, tasks, started)
            finally:
                await tasks.close()
                await source.close()
        except (StoreError, SettingsError, StartError) as error:
            log.error("cannot start: %s", error)  # noqa: TRY400 - a sentence for the operator, no traceback
            return 1
        log.info("ended")
        return self._status

    async def _open(self, index: Index, registry: CollectorRegistry) -> Source:
        if self.settings.cluster is not None:
            return await Cluster.open(self.settings.cluster, index, registry)
        return await Embedded.open(self.settings.directory, index, registry)

    async def _serve(
        self, source: Source, index: Index, registry: CollectorRegistry, tasks: Tasks, started: float
    ) -> None:
        settings = self.settings
        metrics = Metrics(registry)
        compiler = Compiler(index, settings.trust_domain)
        hub = Hub(compiler.find, index.services_of, registry)
        feed = Feed(
            asyncio.get_running_loop(),
            index,
            compiler,
            publish=hub.publish,
            on_routes=source.on_routes,
            observe=metrics.on_compiled,
        )
        metrics.watch(source.objects, source.kinds, compiler, feed)
        explainer = partial(explain, compiler.find, index, cluster_domain=settings.cluster_domain)
        checks = partial(gather, source.checks, index, compiler, feed, hub)
        api = Api(
            source.objects,
            source.writer,
            token.token(settings.token_file),
            hub,
            explainer,
            checks,
            registry,
            source.unready,
        )
        push = PushServer(hub, source.unready)
        scrape = MetricsServer(registry, source.unready)
        try:
            await _listen("api", api, settings.api)
            await _listen("push", push, settings.push)
            await _listen("metrics", scrape, settings.metrics)
            tasks.start(self._end_with(source))
            if await self._follow(source, feed, tasks):
                # What is there now stays: the collector need not walk over it again and again.
                gc.collect()
                gc.freeze()
                gc.set_threshold(*GC_THRESHOLDS)
                took_s = time.monotonic() - started
                count, resources = len(source.objects), len(compiler.entries)
                log.info("ready: %d objects, %d resources, %.1f s", count, resources, took_s)
                await self._ending.wait()
            log.info("ending")
        finally:
            feed.close()
            await asyncio.gather(push.stop(), api.stop(), scrape.stop())

    async def _follow(self, source: Source, feed: Feed, tasks: Tasks) -> bool:
        """Return whether the objects were loaded; not if the end comes before."""
        following = asyncio.create_task(source.follow(feed, tasks))
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait((following, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if following.done():
            following.result()
            return True
        following.cancel()
        return False

    async def _end_with(self, source: Source) -> None:
        log.error("%s", await source.ended())
        self._status = 1
        self._ending.set()


async def _listen(flag: str, server: Server, address: Address) -> None:
    try:
        bound = await server.start(address)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StartError(f"--{flag} {format_place(address)}: {reason}") from None
    log.info("%s: listening on %s", flag, format_place(bound))
