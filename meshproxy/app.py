"""The composition root: settings in, a running sidecar out, and its orderly end."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

import uvloop

from meshproxy.admin.desk import Desk
from meshproxy.admin.server import AdminServer
from meshproxy.admin.view import EndpointRow
from meshproxy.config import Address, Settings, format_address
from meshproxy.discovery.file import POLL_S, SnapshotFile
from meshproxy.kit import log as process_log
from meshproxy.kit.aio.slices import in_slices
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.kit.aio.timer import Driver
from meshproxy.kit.throttle import Throttle
from meshproxy.metrics import process
from meshproxy.metrics.events import Events, register_endpoints, register_timers
from meshproxy.metrics.lag import LoopLag
from meshproxy.metrics.sink import Sink
from meshproxy.metrics.slots import Registry
from meshproxy.policy.route import RouteTable
from meshproxy.proxy.access import AccessLog
from meshproxy.proxy.backend import Backend
from meshproxy.proxy.connect import Connector
from meshproxy.proxy.downstream import Downstream
from meshproxy.proxy.drain import Side, drain
from meshproxy.proxy.listener import Listener
from meshproxy.proxy.services import Services
from meshproxy.proxy.stack import Inbound, Outbound, Stack
from meshproxy.tls.identity import IdentityError
from meshproxy.tls.reload import IdentityStore, Reload
from meshproxy.wire import resources as wire
from meshproxy.wire.snapshot import Entry, SnapshotError, load, load_steps

log = logging.getLogger(__name__)

BACKLOG = 4_096
ADMIN_GRACE_S = 1.0
"""How long the end waits for answers of the admin server that are under way."""


def check(settings: Settings) -> int:
    """Say whether a sidecar could run with these settings; 0 if so."""
    try:
        for entry in load(SnapshotFile(settings.snapshot).read()).entries:
            if isinstance(entry.resource, wire.Routes):
                RouteTable(entry.resource)
        _identities(settings)
    except (SnapshotError, IdentityError, ValueError) as error:
        print(f"meshproxy: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print("the configuration is good")  # noqa: T201
    return 0


def run(settings: Settings) -> int:
    """Run until the end; 1 if it could not start."""
    process_log.start(settings.log_level)
    try:
        return uvloop.run(App(settings).run())
    except KeyboardInterrupt:
        return 0


def _identities(settings: Settings) -> IdentityStore | None:
    if settings.identity_dir is None:
        return None
    return IdentityStore(settings.identity_dir, settings.namespace, settings.service_account, time.time())


class App:
    """One sidecar. Also what the admin server sees of it (`admin/view.py`)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry = Registry()
        self._entries: dict[str, Entry] = {}
        self._file = SnapshotFile(settings.snapshot)
        self._version = ""
        self._is_started = False
        self._is_loading = False
        self._is_stranger = False
        self._admin_addresses: list[Address] = []
        self._warnings = Throttle(1.0)

    async def run(self) -> int:
        settings = self.settings
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._draining = asyncio.Event()
        self._tasks = Tasks(loop)
        self._driver = Driver(loop)
        self.events = Events(self.registry)
        process.register(self.registry)
        lag = LoopLag(loop, self.registry)
        try:
            identities = _identities(settings)
            stacks = self._build(identities)
            await self._load()
            servers = await self._open_admin()
            sides = self._open(stacks, identities)
            self._is_started = True
        except (SnapshotError, IdentityError) as error:
            log.error("cannot start: %s", error)  # noqa: TRY400 - a sentence for the operator, no traceback
            return 1
        except OSError as error:
            log.error("cannot start: %s", error.strerror or error)  # noqa: TRY400
            return 1
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.drain)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        self._tasks.start(self._watch(identities))
        # What is there now stays: the collector need not walk over it again and again.
        gc.collect()
        gc.freeze()
        log.info("ready: %s/%s %s", settings.namespace, settings.service_account, settings.workload)
        await self._draining.wait()
        cut = await drain(sides, settings.drain_s)
        if cut:
            log.warning("the drain's time is over: %d exchanges are cut short", cut)
        await _close_admin(servers)
        await self._tasks.close()
        if self._sink is not None:
            self._sink.close()
        lag.close()
        self._driver.close()
        log.info("ended")
        return 0

    # The admin server's view.

    def unready(self) -> str:
        if self._draining.is_set():
            return "draining"
        return "" if self._is_started else "starting"

    def resources(self) -> Iterable[Entry]:
        return self._entries.values()

    def endpoints(self) -> Iterable[EndpointRow]:
        now = time.monotonic()
        for backend in self._backends():
            for state in backend.balancer.states:
                yield EndpointRow(
                    backend=backend.name,
                    address=format_address((state.spec.address, state.spec.port)),
                    state=state.condition,
                    identity=state.spec.identity,
                    inflight=state.inflight,
                    ewma_ms=round(backend.balancer.latency_s(state, now) * 1000, 3),
                    failures=state.failures,
                    ejected_for_s=round(max(0.0, state.retry_at - now), 3) if state.ejected else 0.0,
                )

    def drain(self) -> None:
        if not self._draining.is_set():
            log.info("draining, at most %g s", self.settings.drain_s)
            self._draining.set()

    # Building.

    def _build(self, identities: IdentityStore | None) -> list[Stack]:
        settings = self.settings
        connector = Connector(self._loop, identities, self.events.plain_to_meshed)
        shared = (settings, self._driver.wheel, self._tasks, self.registry, connector)
        self._outbound = Outbound(*shared) if settings.outbound is not None else None
        self._inbound = Inbound(*shared) if settings.inbound is not None else None
        stacks: list[Stack] = [stack for stack in (self._outbound, self._inbound) if stack is not None]
        self._sink = None
        if settings.access_log != "off":
            self._sink = Sink(self._loop, sys.stdout.fileno(), lambda lines: self.events.access_dropped.add(n=lines))
            access = AccessLog(self._sink, settings.access_log)
            for stack in stacks:
                stack.log_exchange = access.write
        register_endpoints(self.registry, self._count_endpoints)
        register_timers(self.registry, lambda: [((), len(self._driver.wheel))])
        return stacks

    def _open(self, stacks: list[Stack], identities: IdentityStore | None) -> list[Side]:
        settings = self.settings
        sockets: list[socket.socket] = []
        for stack in stacks:
            address = settings.outbound if isinstance(stack, Outbound) else settings.inbound
            assert address is not None
            sockets.append(_listen(address))
        bound = [sock.getsockname()[:2] for sock in sockets]
        sides: list[Side] = []
        for stack, sock, address in zip(stacks, sockets, bound, strict=True):
            # From outbound to our own inbound side is no loop: a Service may call itself.
            mine = [address] if isinstance(stack, Outbound) else bound
            stack.own_addresses = frozenset({*mine, *self._admin_addresses})
            is_inbound = isinstance(stack, Inbound)
            listener = Listener(
                self._loop,
                sock,
                stack.connections,
                partial(Downstream, stack),
                partial(self._on_listener_event, stack.direction),
                tls_factory=partial(Downstream, stack) if is_inbound else None,
                identities=identities if is_inbound else None,
            )
            sides.append(Side(stack, listener))
            log.info("%s: listening on %s", stack.direction, format_address(address))
        for side in sides:
            side.listener.start()
        return sides

    async def _open_admin(self) -> list[AdminServer]:
        servers: list[AdminServer] = []
        for address, is_public in ((self.settings.admin, False), (self.settings.health, True)):
            if address is not None:
                server = AdminServer(Desk(self, is_public=is_public))
                port = await server.start(*address)
                self._admin_addresses.append((address[0], port))
                log.info("%s: listening on %s", "health" if is_public else "admin", format_address((address[0], port)))
                servers.append(server)
        return servers

    # Configuration.

    async def _load(self) -> None:
        """Read the snapshot and let it take effect. Raises SnapshotError; then the one in use stays."""
        started = time.monotonic()
        data = self._file.read()
        version = hashlib.sha256(data).hexdigest()[:16]
        if version == self._version:
            return
        snapshot = await in_slices(load_steps(data))
        for name in snapshot.skipped:
            log.warning("the snapshot has %s, which this sidecar does not know", name)
        entries = snapshot.select(self.settings.namespace)
        self.registry.advance()
        if self._outbound is not None:
            services = Services(self._outbound, entries, self._outbound.services)
            await in_slices(services.build())
            if services.problems:
                raise SnapshotError(services.problems)
            services.commit()
            self._outbound.use(services)
        if self._inbound is not None:
            self._inbound.use(self._own_services(entries))
        self._entries = entries
        self._version = version
        self.registry.retire()
        self.events.snapshot_loads.add("taken")
        self.events.snapshot.replace(1, version)
        self.events.snapshot_loaded.set(time.time())
        took_ms = (time.monotonic() - started) * 1000
        log.info("snapshot taken: %d resources, %.0f ms", len(entries), took_ms)

    def _own_services(self, entries: dict[str, Entry]) -> list[str]:
        """The Services that send to our inbound port, by our workload's resource."""
        settings = self.settings
        name = f"workload/{settings.namespace}/{settings.workload}"
        entry = entries.get(name)
        if entry is None:
            if not self._is_stranger:
                self._is_stranger = True
                log.warning("the snapshot has no %s: all inbound requests go to --app, with the defaults", name)
            return []
        assert isinstance(entry.resource, wire.Workload)
        assert settings.inbound is not None
        for port in entry.resource.ports:
            if port.port == settings.inbound[1]:
                return port.services
        return []

    async def _reload(self) -> None:
        """Take a changed snapshot; refuse a bad one and go on with the one in use."""
        if self._is_loading:
            return
        self._is_loading = True
        try:
            await self._load()
        except SnapshotError as error:
            self.events.snapshot_loads.add("refused")
            log.error("snapshot refused, the one in use stays: %s", error)  # noqa: TRY400
        except Exception:
            self.events.snapshot_loads.add("refused")
            log.exception("the snapshot could not be taken by a defect; the one in use stays")
        finally:
            self._is_loading = False

    def _on_hangup(self) -> None:
        self._tasks.start(self._reload())

    async def _watch(self, identities: IdentityStore | None) -> None:
        """Look for changed files."""
        while True:
            await asyncio.sleep(POLL_S)
            if self._file.is_changed():
                await self._reload()
            if identities is not None:
                try:
                    self._watch_identity(identities)
                except Exception:
                    log.exception("the identity could not be looked at by a defect; the one in use stays")

    def _watch_identity(self, identities: IdentityStore) -> None:
        outcome = identities.poll(time.time())
        if outcome is Reload.CHANGED:
            log.info("identity taken: %s", identities.current.id)
        elif outcome is Reload.REFUSED:
            log.error("identity refused, the one in use stays: %s", identities.refusal)
        self.events.certificate_expiry.set(identities.current.not_after_s)

    # What is told.

    def _on_listener_event(self, direction: str, word: str, detail: str) -> None:
        if word in ("shed", "starved"):
            self.events.shed.add(direction, word)
        elif word == "tls_failed":
            self.events.tls_failures.add(direction, detail.partition(":")[0])
        else:
            self.events.detections.add(direction, word)
        self._tell(f"{direction}: {word}: {detail}")

    def _tell(self, text: str) -> None:
        """Warn, at most once a second: what clients cause must not fill the log."""
        suppressed = self._warnings.admit(time.monotonic())
        if suppressed is not None:
            log.warning("%s%s", text, f" (and {suppressed} more)" if suppressed else "")

    def _backends(self) -> list[Backend]:
        if self._outbound is None or self._outbound.services is None:
            return []
        return list(self._outbound.services.backends.values())

    def _count_endpoints(self) -> list[tuple[tuple[str, ...], float]]:
        counts = Counter(
            (backend.name, state.condition) for backend in self._backends() for state in backend.balancer.states
        )
        return [(key, float(count)) for key, count in counts.items()]


async def _close_admin(servers: Sequence[AdminServer]) -> None:
    """Let the answers under way end; a client that does not take its answer does not keep the process."""
    for server in servers:
        server.close()
    end = time.monotonic() + ADMIN_GRACE_S
    while any(server.open_connections for server in servers) and time.monotonic() < end:  # noqa: ASYNC110 - at the end only
        await asyncio.sleep(0.01)
    for server in servers:
        server.abort()


def _listen(address: Address) -> socket.socket:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{format_address(address)}: {error.strerror}") from None
    return sock
