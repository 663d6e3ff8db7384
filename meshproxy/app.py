"""The composition root: settings in, a running sidecar out, and its orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import uvloop

from meshproxy.admin.ask import answer
from meshproxy.admin.desk import Desk
from meshproxy.admin.server import AdminServer
from meshproxy.admin.view import EndpointRow
from meshproxy.config import Address, Settings
from meshproxy.discovery.file import SnapshotFile
from meshproxy.discovery.snapshots import Snapshots, check_compiles
from meshproxy.kit import files
from meshproxy.kit import log as process_log
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.metrics.exposition import Source as Samples
from meshproxy.metrics.slots import Registry
from meshproxy.proxy.place import listen, reserve
from meshproxy.tls.control import ControlContext
from meshproxy.tls.identity import IdentityError
from meshproxy.wire.address import format_place
from meshproxy.wire.snapshot import Entry, SnapshotError, load
from meshproxy.worker import Worker, load_identities

if TYPE_CHECKING:
    from meshproxy.crew.parent import Crew
    from meshproxy.discovery.client import Discovery

log = logging.getLogger(__name__)

USED_S = 60.0
"""How often discovery is told which Services are called: those that are not are forgotten in time."""
ADMIN_GRACE_S = 1.0
"""How long the end waits for answers of the admin server that are under way."""


class Source(Protocol):
    """Where the configuration comes from."""

    async def start(self) -> None:
        """Raises SnapshotError if the sidecar cannot start with it."""

    async def close(self) -> None: ...
    def reload(self) -> None:
        """SIGHUP."""

    def unready(self) -> str:
        """What is waited for; empty once there is a configuration."""

    def report(self) -> dict[str, object]:
        """Its state, for the admin server."""


def check(settings: Settings) -> int:
    """Say whether a sidecar could run with these settings; 0 if so."""
    try:
        if settings.snapshot is not None:
            check_compiles(load(SnapshotFile(settings.snapshot).read()).entries)
        load_identities(settings)
    except (SnapshotError, IdentityError) as error:
        print(f"meshproxy: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print("the configuration is good")  # noqa: T201
    return 0


def run(settings: Settings) -> int:
    """Run until the end; 1 if it could not start."""
    process_log.start(settings.log_level)
    files.allow()
    try:
        return uvloop.run(App(settings).run())
    except KeyboardInterrupt:
        return 0


class App:
    """One sidecar. Also what the admin server sees of it (`admin/view.py`)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry = Registry()
        self._is_started = False
        self._admin_addresses: list[Address] = []

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        self._draining = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.drain)
        try:
            self.worker = self._make_worker()
            self._tasks = Tasks(loop)
            self._source = self._choose_source()
            loop.add_signal_handler(signal.SIGHUP, self._source.reload)
            await self._source.start()
            servers = await self._open_admin()
            self.worker.open(self._listen(), self._admin_addresses)
        except (SnapshotError, IdentityError) as error:
            log.error("cannot start: %s", error)  # noqa: TRY400 - a sentence for the operator, no traceback
            return 1
        except OSError as error:
            log.error("cannot start: %s", error.strerror or error)  # noqa: TRY400
            return 1
        self._tasks.start(self._announce())
        await self._draining.wait()
        cut = await self.worker.drain()
        if cut:
            log.warning("the drain's time is over: %d exchanges are cut short", cut)
        # Until here: whoever is still served may call a Service that is not known yet.
        await self._source.close()
        await self._tasks.close()
        await _close_admin(servers)
        await self.worker.close()
        log.info("ended")
        return 0

    # The admin server's view.

    def unready(self) -> str:
        if self._draining.is_set():
            return "draining"
        if not self._is_started:
            return self._source.unready() or "starting"
        return self._source.unready() or ("" if self.worker.is_open else "no worker accepts connections")

    def resources(self) -> Iterable[Entry]:
        return list(self.worker.entries.values())

    async def endpoints(self) -> Iterable[EndpointRow]:
        return await self.worker.rows()

    def metrics(self) -> Samples:
        return self.worker.metrics()

    def stream(self) -> dict[str, object]:
        return self._source.report()

    def drain(self) -> None:
        if not self._draining.is_set():
            log.info("draining, at most %g s", self.settings.drain_s)
            self._draining.set()

    # Building.

    def _make_worker(self) -> Worker | Crew:
        if self.settings.workers == 1:
            return Worker(self.settings, self.registry)
        from meshproxy.crew.parent import Crew  # noqa: PLC0415 - its memory is paid only with --workers

        return Crew(self.settings, self.registry)

    def _choose_source(self) -> Source:
        settings = self.settings
        worker = self.worker
        if settings.snapshot is not None:
            return Snapshots(
                settings.snapshot, settings.namespace, settings.workload, worker.entries, worker.apply, self.registry
            )
        from meshproxy.discovery.client import Discovery  # noqa: PLC0415 - its memory is paid only with --control

        tls = None
        if any(url.startswith("wss:") for url in settings.control):
            assert settings.identity_dir is not None
            tls = ControlContext(settings.identity_dir)
        discovery = Discovery(settings, worker.apply, partial(answer, Desk(self, is_public=False)), self.registry, tls)
        worker.want = discovery.want
        self._tasks.start(self._tell_used(discovery))
        return discovery

    async def _tell_used(self, discovery: Discovery) -> None:
        while True:
            await asyncio.sleep(USED_S)
            discovery.used(self.worker.used())

    async def _announce(self) -> None:
        await self.worker.opened()
        self._is_started = True
        settings = self.settings
        if reason := self._source.unready():
            log.info("not ready: %s", reason)
        while self._source.unready():  # noqa: ASYNC110 - at the start only
            await asyncio.sleep(0.05)
        log.info("ready: %s/%s %s", settings.namespace, settings.service_account, settings.workload)

    def _listen(self) -> dict[str, socket.socket]:
        """The sockets of the traffic, by direction."""
        asked = {"outbound": self.settings.outbound, "inbound": self.settings.inbound}
        take = reserve if self.settings.workers > 1 else listen
        sockets = {direction: take(address) for direction, address in asked.items() if address is not None}
        for direction, sock in sockets.items():
            log.info("%s: listening on %s", direction, format_place(sock.getsockname()[:2]))
        return sockets

    async def _open_admin(self) -> list[AdminServer]:
        servers: list[AdminServer] = []
        for address, is_public in ((self.settings.admin, False), (self.settings.health, True)):
            if address is not None:
                server = AdminServer(Desk(self, is_public=is_public))
                port = await server.start(*address)
                self._admin_addresses.append((address[0], port))
                log.info("%s: listening on %s", "health" if is_public else "admin", format_place((address[0], port)))
                servers.append(server)
        return servers


async def _close_admin(servers: Sequence[AdminServer]) -> None:
    """Let the answers under way end; a client that does not take its answer does not keep the process."""
    for server in servers:
        server.close()
    end = time.monotonic() + ADMIN_GRACE_S
    while any(server.open_connections for server in servers) and time.monotonic() < end:  # noqa: ASYNC110 - at the end only
        await asyncio.sleep(0.01)
    for server in servers:
        server.abort()
