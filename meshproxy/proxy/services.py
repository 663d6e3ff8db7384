"""The configuration made ready for requests: every Service's ports, routes and backends, compiled off their path."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, TypeAlias, cast

from meshproxy.policy.route import RouteTable
from meshproxy.proxy.backend import Backend
from meshproxy.proxy.destination import Destination, Lane
from meshproxy.wire import names
from meshproxy.wire import resources as wire
from meshproxy.wire.names import PortKey

if TYPE_CHECKING:
    from meshproxy.metrics.slots import ExchangeSlot
    from meshproxy.policy.rule import Rule, RuleBackend
    from meshproxy.proxy.stack import Outbound
    from meshproxy.wire.change import Change
    from meshproxy.wire.snapshot import Entry

Key: TypeAlias = tuple[str, str, int]
"""Namespace, name and port of a Service."""


class Services:
    """What is in use. Only the commit of a `Draft` changes it, in one go: a request sees all of a change or nothing.

    `strangers`: by backend, the destinations of other ports whose routes name it, whether it exists or not.
    """

    def __init__(self, outbound: Outbound) -> None:
        self.outbound = outbound
        self.entries: dict[str, Entry] = {}
        self.ports: dict[tuple[str, str], list[int]] = {}
        self.destinations: dict[Key, Destination] = {}
        self.backends: dict[str, Backend] = {}
        self.strangers: dict[str, set[Key]] = {}


class Draft:
    """What a change makes of the Services: built beside what is in use, then committed, then settled.

    Only what the change touches is looked at. Backends live on while their settings stay the same, and with them what
    is known of their endpoints; destinations while neither their routes nor their backends change. Between `build` and
    `settle` there is no other draft of the same Services.
    """

    def __init__(self, services: Services, change: Change) -> None:
        self._services = services
        self._change = change
        self._updated = {entry.name: entry for entry in change.updated}
        self._gone = frozenset((*change.removed, *change.forgotten))
        # What comes; None for what goes.
        self._ports: dict[tuple[str, str], list[int] | None] = {}
        self._backends: dict[str, Backend | None] = {}
        self._destinations: dict[Key, Destination | None] = {}
        self._moved: list[tuple[Backend, list[wire.Endpoint]]] = []
        self._links: list[
            tuple[Key, set[str], set[str]]
        ] = []  # strangers' backends that a destination names no more, and newly
        self._slots: list[ExchangeSlot] = []
        # What was in use before.
        self._closing: list[Backend] = []
        self._leaving: list[Destination] = []

    def build(self) -> Generator[None, None, None]:
        """Compile; yields between resources so that others have their turn. Raises ValueError for bad routes."""
        try:
            yield from self._build()
        except BaseException:
            for slot in self._slots:
                self._services.outbound.registry.release(slot)
            raise

    def commit(self) -> None:
        """Let it take effect."""
        services = self._services
        for backend, endpoints in self._moved:
            backend.update(endpoints)
        for name, fresh in self._backends.items():
            if (former := services.backends.pop(name, None)) is not None:
                self._closing.append(former)
            if fresh is not None:
                services.backends[name] = fresh
        for key, destination in self._destinations.items():
            if (known := services.destinations.pop(key, None)) is not None:
                self._leaving.append(known)
            if destination is not None:
                services.destinations[key] = destination
        for service, ports in self._ports.items():
            services.ports.pop(service, None)
            if ports is not None:
                services.ports[service] = ports
        for key, lost, found in self._links:
            self._link(key, lost, found)
        keep(services.entries, self._change)
        if self._ports or self._destinations:
            services.outbound.forget_hosts()

    def settle(self) -> Generator[None, None, None]:
        """End what is not in use any more; yields as `build` does."""
        for backend in self._closing:
            backend.close()
            yield
        for destination in self._leaving:
            for lane in (*destination.lanes, destination.unmatched):
                self._services.outbound.registry.release(lane.slot)
            yield

    def _build(self) -> Generator[None, None, None]:
        backends: dict[str, PortKey] = {}
        routes: dict[Key, None] = {}
        for text in (*self._updated, *self._gone):
            yield
            if not self._is_touched(text):
                continue
            name = names.parse(text)
            if name.kind == "service":
                service = cast("wire.Service | None", self._find(text))
                ports = [port.port for port in service.ports] if service is not None else None
                self._ports[name.namespace, name.name] = ports
            elif name.kind == "routes":
                routes[name.namespace, name.name, name.port] = None
            elif name.kind in names.PORT_KINDS:
                key = PortKey(name.namespace, name.name, name.port)
                backends[str(key)] = key
        for text, key in backends.items():
            if self._draft_backend(text):
                if key in self._services.destinations:
                    routes[key] = None
                routes.update(dict.fromkeys(self._services.strangers.get(text, ())))
            yield
        for place in routes:
            self._draft_routes(place)
            yield

    def _is_touched(self, name: str) -> bool:
        """By content: versions are the writer's word, and a file may have been edited by hand."""
        entry, former = self._updated.get(name), self._services.entries.get(name)
        return former is not None if entry is None else former is None or former.resource != entry.resource

    def _find(self, name: str) -> wire.Resource | None:
        """The resource as it will be."""
        entry = self._updated.get(name)
        if entry is None and name not in self._gone:
            entry = self._services.entries.get(name)
        return entry.resource if entry is not None else None

    def _draft_backend(self, name: str) -> bool:
        """Returns whether it is another one than before: then whoever sends there needs new lanes."""
        settings = cast("wire.Backend | None", self._find(f"backend/{name}"))
        named = cast("wire.Endpoints | None", self._find(f"endpoints/{name}"))
        endpoints = named.endpoints if named is not None else []
        known = self._services.backends.get(name)
        if settings is None:
            if known is not None:
                self._backends[name] = None
            return known is not None
        if known is not None and known.settings == settings:
            self._moved.append((known, endpoints))
            return False
        fresh = self._backends[name] = Backend(name, settings, self._services.outbound)
        fresh.update(endpoints)
        return True

    def _draft_routes(self, key: Key) -> None:
        service = str(PortKey(*key))
        name = f"routes/{service}"
        routes = cast("wire.Routes | None", self._find(name))
        former = self._services.entries.get(name)
        before = _strangers(service, cast("wire.Routes", former.resource)) if former is not None else set()
        after = _strangers(service, routes) if routes is not None else set()
        if before != after:
            self._links.append((key, before - after, after - before))
        self._destinations[key] = self._destination(service, routes) if routes is not None else None

    def _link(self, key: Key, lost: set[str], found: set[str]) -> None:
        strangers = self._services.strangers
        for name in lost:
            strangers[name].discard(key)
            if not strangers[name]:
                del strangers[name]
        for name in found:
            strangers.setdefault(name, set()).add(key)

    def _destination(self, service: str, routes: wire.Routes) -> Destination:
        table = RouteTable(routes)
        for rule in table.rules:
            if rule.single is not None or rule.pick_backend(lambda: 0.0) is None:
                rule.slot = self._lane(service, rule, rule.single)
            else:
                for choice in rule.backends:
                    choice.target = self._lane(service, rule, choice)
        return Destination(table, Lane(service, None, None, None, self._slot(service, "", "", "http")))

    def _lane(self, service: str, rule: Rule, chosen: RuleBackend | None) -> Lane:
        backend = self._backend(chosen.name) if chosen is not None and not chosen.fault else None
        name = chosen.name if chosen is not None else ""
        protocol = backend.settings.protocol if backend is not None else "http"
        return Lane(service, rule, chosen, backend, self._slot(service, rule.name, name, protocol))

    def _backend(self, name: str) -> Backend | None:
        return self._backends[name] if name in self._backends else self._services.backends.get(name)

    def _slot(self, service: str, route: str, backend: str, protocol: str) -> ExchangeSlot:
        slot = self._services.outbound.registry.exchange("outbound", service, route, backend, protocol)
        self._slots.append(slot)
        return slot


def keep(entries: dict[str, Entry], change: Change) -> None:
    """Let a change take effect in a table of entries by name."""
    for name in (*change.removed, *change.forgotten):
        entries.pop(name, None)
    for entry in change.updated:
        entries[entry.name] = entry


def _strangers(service: str, routes: wire.Routes) -> set[str]:
    """The backends of other ports that these routes of a Service's port send to."""
    return {
        choice.backend
        for rule in routes.rules
        for choice in rule.backends
        if not choice.fault and choice.backend != service
    }
