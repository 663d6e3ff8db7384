"""One process's traffic: stacks, listeners and identity, whatever its configuration comes from.

A worker is made, configured by `apply`, opened on sockets that somebody else has bound, drained, and closed.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from meshproxy.admin.view import EndpointRow
from meshproxy.config import Address, Settings
from meshproxy.kit.aio.slices import in_slices
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.kit.aio.timer import Driver
from meshproxy.kit.throttle import Throttle
from meshproxy.metrics import process
from meshproxy.metrics.events import Events, register_endpoints, register_parked, register_timers
from meshproxy.metrics.lag import LoopLag
from meshproxy.metrics.sink import Sink
from meshproxy.metrics.slots import Registry
from meshproxy.proxy.access import AccessLog
from meshproxy.proxy.backend import Backend
from meshproxy.proxy.connect import Connector
from meshproxy.proxy.downstream import Downstream
from meshproxy.proxy.drain import Side, drain
from meshproxy.proxy.listener import Listener
from meshproxy.proxy.services import Draft, keep
from meshproxy.proxy.stack import Inbound, Outbound, Stack
from meshproxy.tls.reload import IdentityStore, Reload
from meshproxy.wire import resources as wire
from meshproxy.wire.address import format_place
from meshproxy.wire.change import Change
from meshproxy.wire.snapshot import Entry

if TYPE_CHECKING:
    from meshproxy.proxy.stack import Want

log = logging.getLogger(__name__)

POLL_S = 1.0
"""How often a changed identity is looked for."""

Sockets: TypeAlias = Mapping[str, socket.socket]
"""By direction: `outbound`, `inbound`, as far as the settings ask for them; bound, listening and non-blocking."""


def load_identities(settings: Settings) -> IdentityStore | None:
    """Read the identity that the settings name. Raises IdentityError."""
    if settings.identity_dir is None:
        return None
    return IdentityStore(settings.identity_dir, settings.namespace, settings.service_account, time.time())


class Worker:
    """Serves the traffic of one process. Everything of it runs on one event loop.

    `entries` is the configuration in use, by name; it changes only when an `apply` takes effect.
    """

    def __init__(self, settings: Settings, registry: Registry) -> None:
        """Make it within its running loop. Raises IdentityError."""
        self.settings = settings
        self.registry = registry
        self.events = Events(registry)
        self._loop = asyncio.get_running_loop()
        self._identities = load_identities(settings)
        self._tasks = Tasks(self._loop)
        self._driver = Driver(self._loop)
        self._lag = LoopLag(self._loop, registry)
        self._applying = asyncio.Lock()
        self._sides: list[Side] = []
        self._is_stranger = False
        self._warnings = Throttle(1.0)
        self._sink: Sink | None = None
        connector = Connector(self._loop, self._identities, self.events.plain_to_meshed)
        shared = (settings, self._driver.wheel, self._tasks, registry, connector)
        self.outbound = Outbound(*shared) if settings.outbound is not None else None
        self.inbound = Inbound(*shared) if settings.inbound is not None else None
        self.entries: dict[str, Entry] = self.outbound.services.entries if self.outbound is not None else {}
        self._open_log()
        process.register(registry)
        register_endpoints(registry, self._count_endpoints)
        register_parked(registry, self._count_parked)
        register_timers(registry, lambda: [((), len(self._driver.wheel))])

    @property
    def stacks(self) -> list[Stack]:
        return [stack for stack in (self.outbound, self.inbound) if stack is not None]

    @property
    def want(self) -> Want | None:
        """Asked for a Service that is not known; without it, what is not known does not exist."""
        return self.outbound.want if self.outbound is not None else None

    @want.setter
    def want(self, want: Want | None) -> None:
        if self.outbound is not None:
            self.outbound.want = want

    # Configuration.

    async def apply(self, change: Change) -> None:
        """Let a change take effect: built in slices beside what is in use, then in effect at once and as a whole.

        What it holds has been validated (`check_resource`, `RouteTable`). Changes take effect in the order of the
        calls. Costs by what changes, not by what is there.
        """
        async with self._applying:
            outbound = self.outbound
            if outbound is None:
                keep(self.entries, change)
            else:
                draft = Draft(outbound.services, change)
                await in_slices(draft.build())
                draft.commit()
            if self.inbound is not None:
                self._use_inbound(self.inbound, change)
            if outbound is not None:
                await in_slices(outbound.resume(change))
                await in_slices(draft.settle())

    def _use_inbound(self, inbound: Inbound, change: Change) -> None:
        """Take the Services that send to our inbound port from our workload's resource."""
        settings = self.settings
        name = f"workload/{settings.namespace}/{settings.workload}"
        entry = self.entries.get(name)
        services: list[str] = []
        if entry is not None:
            assert isinstance(entry.resource, wire.Workload)
            assert settings.inbound is not None
            for port in entry.resource.ports:
                if port.port == settings.inbound[1]:
                    services = port.services
        elif name in change.removed and not self._is_stranger:
            self._is_stranger = True
            log.warning("there is no %s: all inbound requests go to --app, with the defaults", name)
        inbound.use(services)

    # What is there.

    async def rows(self) -> Iterable[EndpointRow]:
        """What `endpoints` gives, as several workers would."""
        return self.endpoints()

    def endpoints(self) -> Iterator[EndpointRow]:
        """All endpoints of Services, grouped by backend."""
        now = time.monotonic()
        for backend in self._backends():
            for state in list(backend.balancer.states):
                yield EndpointRow(
                    backend=backend.name,
                    address=format_place((state.spec.address, state.spec.port)),
                    state=state.condition,
                    identity=state.spec.identity,
                    inflight=state.inflight,
                    ewma_ms=round(backend.balancer.latency_s(state, now) * 1000, 3),
                    failures=state.failures,
                    ejected_for_s=round(max(0.0, state.retry_at - now), 3) if state.ejected else 0.0,
                )

    def metrics(self) -> Registry:
        return self.registry

    def used(self) -> set[str]:
        """The Services (NS/NAME) that were called since the last time this was asked, or are being called."""
        return {service.rpartition(":")[0] for service in self.registry.used("outbound") if service}

    # Serving.

    def open(self, sockets: Sockets, reserved: Iterable[Address] = ()) -> None:
        """Begin to accept. `reserved` are further addresses of this sidecar's own: what leads there is a loop."""
        bound = {stack: _address(sockets[stack.direction]) for stack in self.stacks}
        for stack, address in bound.items():
            # From outbound to our own inbound side is no loop: a Service may call itself.
            mine = [address] if stack is self.outbound else bound.values()
            stack.own_addresses = frozenset({*mine, *reserved})
            is_inbound = stack is self.inbound
            listener = Listener(
                self._loop,
                sockets[stack.direction],
                stack.connections,
                partial(Downstream, stack),
                partial(self._on_listener_event, stack.direction),
                tls_factory=partial(Downstream, stack) if is_inbound else None,
                identities=self._identities if is_inbound else None,
            )
            self._sides.append(Side(stack, listener))
        for side in self._sides:
            side.listener.start()
        if self._identities is not None:
            self._tasks.start(self._watch_identity(self._identities))
        # What is there now stays: the collector need not walk over it again and again.
        gc.collect()
        gc.freeze()

    @property
    def is_open(self) -> bool:
        return bool(self._sides)

    async def opened(self) -> None:
        """`open` takes no time here; several workers need some."""

    async def drain(self) -> int:
        """End the traffic in order, within the settings' time; returns how many exchanges were cut short."""
        return await drain(self._sides, self.settings.drain_s)

    async def close(self) -> None:
        """Let go of everything; what is still under way is lost."""
        await self._tasks.close()
        if self._sink is not None:
            self._sink.close()
        self._lag.close()
        self._driver.close()

    def _open_log(self) -> None:
        if self.settings.access_log != "off":
            self._sink = Sink(
                self._loop,
                sys.stdout.fileno(),
                lambda lines: self.events.access_dropped.add(n=lines),
                shared=self.settings.workers > 1,
            )
            access = AccessLog(self._sink, self.settings.access_log)
            for stack in self.stacks:
                stack.log_exchange = access.write

    async def _watch_identity(self, identities: IdentityStore) -> None:
        while True:
            self.events.certificate_expiry.set(identities.current.not_after_s)
            await asyncio.sleep(POLL_S)
            try:
                outcome = identities.poll(time.time())
            except Exception:
                log.exception("the identity could not be looked at by a defect; the one in use stays")
                continue
            if outcome is Reload.CHANGED:
                log.info("identity taken: %s", identities.current.id)
            elif outcome is Reload.REFUSED:
                log.error("identity refused, the one in use stays: %s", identities.refusal)

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
        return list(self.outbound.services.backends.values()) if self.outbound is not None else []

    def _count_endpoints(self) -> list[tuple[tuple[str, ...], float]]:
        counts = Counter(
            (backend.name, state.condition) for backend in self._backends() for state in backend.balancer.states
        )
        return [(key, float(count)) for key, count in counts.items()]

    def _count_parked(self) -> list[tuple[tuple[str, ...], float]]:
        return [((), float(len(self.outbound.parking)))] if self.outbound is not None else []


def _address(sock: socket.socket) -> Address:
    host, port = sock.getsockname()[:2]
    return host, port
