"""Keeps the compiled resources in step with the index: compiles what was touched, says what has really changed."""

from __future__ import annotations

from collections.abc import Iterable

from control.compile.endpoints import compile_endpoints, compile_workload
from control.compile.routes import compile_routes
from control.index.index import Index
from control.model.objects import Key
from control.model.protocol import mesh_ports, protocol_of
from meshproxy.wire import names
from meshproxy.wire.resources import Backend, Resource, Service, ServicePort
from meshproxy.wire.snapshot import Entry, check, entry_of

DEFAULT_TRUST_DOMAIN = "cluster.local"


class Compiler:
    """The resources of one index, by name. Whoever changes the index hands the names it returned to `refresh`."""

    __slots__ = ("_index", "_trust_domain", "entries")

    def __init__(self, index: Index, trust_domain: str = DEFAULT_TRUST_DOMAIN) -> None:
        self._index = index
        self._trust_domain = trust_domain
        self.entries: dict[str, Entry] = {}

    def refresh(self, touched: Iterable[str]) -> set[str]:
        """Compile the resources named anew. Return the names of those that came, went or have another version."""
        changed: set[str] = set()
        for name in touched:
            resource = compile_resource(self._index, name, self._trust_domain)
            old = self.entries.get(name)
            if resource is None:
                if old is not None:
                    del self.entries[name]
                    changed.add(name)
                continue
            entry = entry_of(name, resource)
            if old is None or old.version != entry.version:
                self.entries[name] = entry
                changed.add(name)
        return changed

    def snapshot(self) -> list[Entry]:
        """Return all entries, by name. What a sidecar would refuse is a defect here, and raises RuntimeError."""
        entries = [self.entries[name] for name in sorted(self.entries)]
        if problems := check(entries):
            raise RuntimeError(f"compiled an inconsistent snapshot: {'; '.join(map(str, problems[:10]))}")
        return entries


def compile_resource(index: Index, name: str, trust_domain: str) -> Resource | None:
    """Compile one resource from the index; None when nothing there makes it exist."""
    kind, namespace, owner, number = names.parse(name)
    key = Key(namespace, owner)
    if kind == "workload":
        pod = index.pods.get(key)
        return compile_workload(index, pod) if pod is not None else None
    service = index.services.get(key)
    if service is None or service.spec.type == "ExternalName":
        return None
    ports = mesh_ports(service)
    if kind == "service":
        return Service(
            ports=[ServicePort(port=port.port, name=port.name, protocol=protocol_of(port)) for port in ports]
        )
    for port in ports:
        if port.port == number:
            match kind:
                case "routes":
                    return compile_routes(index, service, port)
                case "endpoints":
                    return compile_endpoints(index, service, port, trust_domain)
                case _:
                    return Backend(protocol=protocol_of(port))
    return None
