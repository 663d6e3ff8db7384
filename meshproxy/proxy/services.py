"""A snapshot made ready for requests: every Service's ports, routes and backends, compiled off the request path."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, cast

from meshproxy.policy.route import RouteTable
from meshproxy.proxy.backend import Backend
from meshproxy.proxy.destination import Destination, Lane
from meshproxy.wire import names
from meshproxy.wire import resources as wire
from meshproxy.wire.problem import Problem

if TYPE_CHECKING:
    from meshproxy.metrics.slots import ExchangeSlot
    from meshproxy.policy.rule import Rule, RuleBackend
    from meshproxy.proxy.stack import Outbound
    from meshproxy.wire.snapshot import Entry


class Services:
    """One snapshot. Built step by step beside the one in use; `commit` makes it count.

    Backends live on from snapshot to snapshot while their settings stay the same, and with them what is known of their
    endpoints; destinations while neither their routes nor their backends have changed.
    """

    def __init__(self, outbound: Outbound, entries: Mapping[str, Entry], former: Services | None) -> None:
        self._outbound = outbound
        self.entries = entries
        self._former = former
        self.ports: dict[tuple[str, str], list[int]] = {}
        self.destinations: dict[tuple[str, str, int], Destination] = {}
        self.backends: dict[str, Backend] = {}
        self.problems: list[Problem] = []
        self._changed: list[tuple[Backend, list[wire.Endpoint]]] = []

    def build(self) -> Generator[None, None, None]:
        """Compile; yields between resources so that the caller can let others have their turn. Fills `problems`."""
        for name, entry in self.entries.items():
            if isinstance(entry.resource, wire.Backend):
                self._add_backend(names.parse(name), entry)
            elif isinstance(entry.resource, wire.Service):
                parsed = names.parse(name)
                self.ports[parsed.namespace, parsed.name] = [port.port for port in entry.resource.ports]
            yield
        for name, entry in self.entries.items():
            if isinstance(entry.resource, wire.Routes):
                self._add_routes(names.parse(name), entry)
                yield

    def commit(self) -> None:
        """Let the backends in use have their new endpoints, and end those that are gone."""
        for backend, endpoints in self._changed:
            backend.update(endpoints)
        if self._former is not None:
            for key, backend in self._former.backends.items():
                if self.backends.get(key) is not backend:
                    backend.close()
        # Or each snapshot would keep all that came before it.
        self._former = None

    def _add_backend(self, name: names.Name, entry: Entry) -> None:
        key = str(names.PortKey(name.namespace, name.name, name.port))
        known = self._former.backends.get(key) if self._former is not None else None
        named = self.entries.get(f"endpoints/{key}")
        endpoints = cast("wire.Endpoints", named.resource).endpoints if named is not None else []
        if known is None or known.settings != entry.resource:
            known = Backend(key, cast("wire.Backend", entry.resource), self._outbound)
            known.update(endpoints)
        elif named is None or not self._is_same(named):
            self._changed.append((known, endpoints))
        self.backends[key] = known

    def _add_routes(self, name: names.Name, entry: Entry) -> None:
        key = (name.namespace, name.name, name.port)
        known = self._former.destinations.get(key) if self._former is not None else None
        if known is not None and self._is_same(entry) and self._is_current(known):
            for lane in (*known.lanes, known.unmatched):
                self._outbound.registry.keep(lane.slot)
            self.destinations[key] = known
            return
        service = str(names.PortKey(*key))
        try:
            table = RouteTable(cast("wire.Routes", entry.resource))
        except ValueError as error:
            self.problems.append(Problem(entry.name, "", str(error)))
            return
        for rule in table.rules:
            if rule.single is not None or rule.pick_backend(lambda: 0.0) is None:
                rule.slot = self._lane(service, rule, rule.single)
            else:
                for choice in rule.backends:
                    choice.target = self._lane(service, rule, choice)
        unmatched = Lane(service, None, None, None, self._slot(service, "", "", "http"))
        self.destinations[key] = Destination(table, unmatched)

    def _lane(self, service: str, rule: Rule, chosen: RuleBackend | None) -> Lane:
        backend = self.backends.get(chosen.name) if chosen is not None and not chosen.fault else None
        name = chosen.name if chosen is not None else ""
        protocol = backend.settings.protocol if backend is not None else "http"
        return Lane(service, rule, chosen, backend, self._slot(service, rule.name, name, protocol))

    def _slot(self, service: str, route: str, backend: str, protocol: str) -> ExchangeSlot:
        return self._outbound.registry.exchange("outbound", service, route, backend, protocol)

    def _is_same(self, entry: Entry) -> bool:
        """By content: versions are the writer's word, and a file may have been edited by hand."""
        assert self._former is not None
        former = self._former.entries.get(entry.name)
        return former is not None and former.resource == entry.resource

    def _is_current(self, known: Destination) -> bool:
        return all(lane.backend is None or self.backends.get(lane.backend.name) is lane.backend for lane in known.lanes)
