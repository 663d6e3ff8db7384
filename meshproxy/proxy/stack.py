"""The two stacks of a sidecar, on one page: read this first.

    outbound  application -> Listener -> Downstream -> Exchange -> Destination -> Lane -> Backend -> Pool -> Upstream
    inbound   mesh        -> Listener (TLS or plain) -> Downstream -> Exchange -> ... -> the application

A `Listener` accepts and tells TLS from plain. A `Downstream` is one client's connection; it parses requests and begins
an `Exchange` for each, one at a time. The exchange asks its stack where the Host leads (`Destination`: a Service's
port with its routes), takes the `Lane` of the rule and backend that the request meets, lets the `Backend` pick an
endpoint, takes a connection from that endpoint's `Pool`, and passes the response back. Both stacks use the same parts;
they differ in where a Host leads, and in the fields that are added.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from abc import ABC, abstractmethod
from itertools import count
from random import getrandbits, random
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from meshproxy.faults import (
    BAD_REQUEST,
    DISCOVERY_REFUSED,
    DISCOVERY_TIMEOUT,
    EGRESS_REFUSED,
    NO_PORT,
    NO_SERVICE,
    Fault,
)
from meshproxy.http1.field import CLIENT_CERTIFICATE_FIELDS, DROP, REQUEST_KINDS
from meshproxy.http1.request import RequestGrammar
from meshproxy.http1.response import ResponseGrammar
from meshproxy.kit.throttle import Throttle
from meshproxy.policy.authority import Outside, ServiceName, pick_port, resolve
from meshproxy.policy.message import RequestHead
from meshproxy.policy.route import RouteTable
from meshproxy.proxy.backend import Backend
from meshproxy.proxy.destination import Destination, Lane
from meshproxy.proxy.listener import MAX_CONNECTIONS
from meshproxy.proxy.parking import Parking
from meshproxy.proxy.services import Services
from meshproxy.wire import names
from meshproxy.wire import resources as wire
from meshproxy.wire.address import format_place
from meshproxy.wire.change import Outlook

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from meshproxy.config import Settings
    from meshproxy.kit.aio.tasks import Tasks
    from meshproxy.kit.wheel import Wheel
    from meshproxy.metrics.slots import Registry
    from meshproxy.proxy.connect import Connector
    from meshproxy.proxy.downstream import Downstream
    from meshproxy.proxy.exchange import Exchange
    from meshproxy.wire.change import Change

    Want: TypeAlias = Callable[[str, str, int | None], Outlook]

log = logging.getLogger(__name__)

MAX_DESTINATIONS = 4_096
"""Distinct Host values remembered; when full the memory starts anew, so hostile ones cost a look-up each, no more."""
MAX_AUTHORITY_BYTES = 300
"""A DNS name has at most 253, with a port; longer ones are not remembered."""

_PROTO = b"x-forwarded-proto: http\r\n"


class Stack(ABC):
    """What every connection and exchange of one direction shares."""

    direction: str

    def __init__(
        self, settings: Settings, wheel: Wheel, tasks: Tasks, registry: Registry, connector: Connector
    ) -> None:
        self.settings = settings
        self.wheel = wheel
        self.tasks = tasks
        self.registry = registry
        self.connector = connector
        self.rng: Callable[[], float] = random
        # Request ids: 80 random bits of this process, and a number. Written anew, 128 random bits cost 0.2 us more.
        self._id_prefix = b"x-request-id: %020x" % getrandbits(80)
        self._ids = count(1)
        self.requests = RequestGrammar(self.request_kinds())
        self.responses = ResponseGrammar()
        self.connections: set[Downstream] = set()
        self.destinations: dict[bytes, Destination] = {}
        self.parking = Parking()
        self.own_addresses: frozenset[tuple[str, int]] = frozenset()
        self.is_draining = False
        self._defects = Throttle(1.0)
        self.active = 0
        self.log_exchange: Callable[[Exchange], None] | None = None
        self.downstream_slots = [registry.connection(self.direction, "downstream", tls) for tls in (False, True)]
        self.upstream_slots = [registry.connection(self.direction, "upstream", tls) for tls in (False, True)]
        self.unrouted = Lane("", None, None, None, registry.exchange(self.direction, "", "", "", "http"))

    @abstractmethod
    def find(self, authority: bytes) -> Destination:
        """Where this Host leads."""

    def request_kinds(self) -> dict[bytes, int]:
        return REQUEST_KINDS

    def resolve(self, authority: bytes) -> Destination:
        """Where a Host leads that is not remembered."""
        if len(self.destinations) >= MAX_DESTINATIONS:
            self.destinations = {}
        destination = self.find(authority)
        if len(authority) <= MAX_AUTHORITY_BYTES and not destination.for_now:
            self.destinations[authority] = destination
        return destination

    def fields_to_add(self, head: RequestHead) -> bytes:
        """The fields that a request lacks, serialized."""
        proto = b"" if head.has_forwarded_proto else _PROTO
        if head.has_request_id:
            return proto
        return b"%b%012x\r\n%b" % (self._id_prefix, next(self._ids), proto)

    def client_certificate(self, peer: str, transport: asyncio.BaseTransport) -> bytes:  # noqa: ARG002
        """The fields that tell of the client's certificate, serialized."""
        return b""

    def refusal(self, fault: Fault, detail: str, *, for_now: bool = False) -> Destination:
        return Destination(None, self.unrouted, fault, detail, for_now=for_now)

    def on_refused(self, rule: str) -> None:
        """A request broke the protocol's rules; `rule` is one of the codec's own phrases."""
        log.debug("%s: refused a request: %s", self.direction, rule)

    def on_defect(self, defect: Exception) -> None:
        """Tell of a defect of our own, with its traceback, at most once a second."""
        suppressed = self._defects.admit(monotonic())
        if suppressed is not None:
            more = f" (and {suppressed} more)" if suppressed else ""
            log.error("%s: an exchange failed by a defect%s", self.direction, more, exc_info=defect)


class Outbound(Stack):
    """From the application to Services."""

    direction = "outbound"

    def __init__(
        self, settings: Settings, wheel: Wheel, tasks: Tasks, registry: Registry, connector: Connector
    ) -> None:
        super().__init__(settings, wheel, tasks, registry, connector)
        self.services = Services(self)
        self.want: Want | None = None
        """Asked for namespace, name and port of a Service that is not known; None: what is not known is not there."""

    def forget_hosts(self) -> None:
        """Services have changed: where Hosts lead is found anew."""
        self.destinations = {}

    def resume(self, change: Change) -> Generator[None, None, None]:
        """Let those go on who wait for what a change, which is in effect by now, tells of; yields between them."""
        told = ({entry.name: None for entry in change.updated}, change.removed, change.forgotten)
        for name in (name for part in told for name in part):
            if not self.parking:
                return
            yield
            parsed = names.parse(name)
            waiting = []
            if parsed.kind in ("service", "routes"):
                waiting = self.parking.waiting_for((parsed.namespace, parsed.name))
            for exchange in waiting:
                if self.parking.leave(exchange):
                    try:
                        exchange.resume(monotonic())
                    except Exception as defect:  # noqa: BLE001 - a defect costs one exchange, not the change
                        exchange.on_defect(defect)
                    yield

    def find(self, authority: bytes) -> Destination:
        place = resolve(authority, self.settings.namespace, self.settings.cluster_domain)
        if place is None:
            if not authority:
                return self.refusal(BAD_REQUEST, "the request names no host")
            return self.refusal(BAD_REQUEST, "the Host is no valid name")
        if isinstance(place, Outside):
            return self.refusal(EGRESS_REFUSED, f"{place.host} is not a Service of the mesh")
        return self._find_service(place)

    def _find_service(self, place: ServiceName) -> Destination:
        services = self.services
        ports = services.ports.get((place.namespace, place.name))
        if ports is None:
            detail = f"there is no Service {place.name} in namespace {place.namespace}"
            return self._ask(place) or self.refusal(NO_SERVICE, detail, for_now=self.want is not None)
        destination = None
        port = pick_port(ports, place.port)
        if port is not None:
            destination = services.destinations.get((place.namespace, place.name, port))
            if destination is None:
                destination = self._ask(place._replace(port=port))
        if destination is None:
            known = ", ".join(map(str, ports))
            return self.refusal(NO_PORT, f"Service {place.namespace}/{place.name} has the ports {known}")
        return destination

    def _ask(self, place: ServiceName) -> Destination | None:
        """What becomes of a Service that is not known, or whose routes are not; None: it does not exist."""
        outlook = self.want(*place) if self.want is not None else Outlook.ABSENT
        if outlook is Outlook.ABSENT:
            return None
        detail = f"Service {place.namespace}/{place.name}"
        if outlook is Outlook.REFUSED:
            return self.refusal(DISCOVERY_REFUSED, detail, for_now=True)
        awaits = (place.namespace, place.name)
        return Destination(None, self.unrouted, DISCOVERY_TIMEOUT, detail, awaits, for_now=True)


class Inbound(Stack):
    """From the mesh to the application beside us. Whatever the Host, everything goes there."""

    direction = "inbound"

    def __init__(
        self, settings: Settings, wheel: Wheel, tasks: Tasks, registry: Registry, connector: Connector
    ) -> None:
        super().__init__(settings, wheel, tasks, registry, connector)
        assert settings.app is not None
        host, port = settings.app
        # Its load is what the listener lets in: a breaker of its own would only turn clients against each other.
        breaker = wire.Breaker(
            max_connections=MAX_CONNECTIONS, max_pending=MAX_CONNECTIONS, max_requests=MAX_CONNECTIONS
        )  # fmt: skip
        self._application = Backend("application", wire.Backend(breaker=breaker), self)
        self._application.update([wire.Endpoint(address=host, port=port)])
        self._by_service: dict[str, Destination] = {}
        self._default = self._destination("")

    def request_kinds(self) -> dict[bytes, int]:
        # What a client says of its certificate is never passed on: only what we have seen ourselves.
        return REQUEST_KINDS | dict.fromkeys(CLIENT_CERTIFICATE_FIELDS, DROP)

    def fields_to_add(self, head: RequestHead) -> bytes:
        added = super().fields_to_add(head)
        if head.authority:
            return added
        # HTTP/1.0 without Host goes on as HTTP/1.1, which needs one (RFC 9112 section 3.2).
        assert self.settings.app is not None
        return b"%bhost: %b\r\n" % (added, format_place(self.settings.app).encode())

    def use(self, services: list[str]) -> None:
        """`services` are those that our port serves, as NS/NAME:PORT."""
        if services == list(self._by_service):
            return
        former = set(self._by_service.values()) | {self._default}
        self._by_service = {name: self._destination(name) for name in services}
        self._default = self._by_service[services[0]] if services else self._destination("")
        self.destinations = {}
        for destination in former:
            self.registry.release(destination.unmatched.slot)

    def find(self, authority: bytes) -> Destination:
        """The Host tells apart the Services that one port serves; one that names none of them means the first."""
        if len(self._by_service) > 1:
            place = resolve(authority, self.settings.namespace, self.settings.cluster_domain)
            if isinstance(place, ServiceName):
                prefix = f"{place.namespace}/{place.name}:"
                exact = self._by_service.get(f"{prefix}{place.port}")
                named = (found for name, found in self._by_service.items() if name.startswith(prefix))
                return exact or next(named, self._default)
        return self._default

    def client_certificate(self, peer: str, transport: asyncio.BaseTransport) -> bytes:
        """x-forwarded-client-cert, as Envoy writes it: our own id, the hash of the client's certificate, its id."""
        if not peer or self.connector.identities is None:
            return b""
        der = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        own = self.connector.identities.current.id
        text = f"By={own};Hash={hashlib.sha256(der).hexdigest()};URI={peer}"
        return b"x-forwarded-client-cert: %b\r\n" % text.encode()

    def _destination(self, service: str) -> Destination:
        table = RouteTable(
            wire.Routes(
                matches=[wire.RouteMatch(rule=0)],
                rules=[wire.Rule(name="default", backends=[wire.RouteBackend(backend="application")])],
            )
        )
        rule = table.rules[0]
        slot = self.registry.exchange(self.direction, service, rule.name, "application", "http")
        rule.slot = Lane(service, rule, rule.single, self._application, slot)
        return Destination(table, rule.slot)
