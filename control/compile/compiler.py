"""Keeps the compiled resources in step with the index: compiles what was touched, says what has really changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import intern

from control.compile.endpoints import compile_endpoints, compile_workload
from control.compile.routes import compile_routes
from control.index.index import Index
from control.model.objects import Key
from control.model.protocol import mesh_ports, protocol_of
from meshproxy.wire import names
from meshproxy.wire.canonical import version_of
from meshproxy.wire.resources import Backend, Resource, Service, ServicePort
from meshproxy.wire.snapshot import Entry, check

DEFAULT_TRUST_DOMAIN = "cluster.local"


class Compiler:
    """The resources of one index, by name. Whoever changes the index hands the names it returned to `refresh`."""

    __slots__ = ("_index", "_trust_domain", "_variants", "entries")

    def __init__(self, index: Index, trust_domain: str = DEFAULT_TRUST_DOMAIN) -> None:
        self._index = index
        self._trust_domain = trust_domain
        self.entries: dict[str, Entry] = {}
        """Of every resource the one for everybody. Beside it there may be variants: ask `find`."""
        self._variants: dict[str, dict[str, Entry]] = {}  # by name, then by consumer

    def refresh(self, touched: Iterable[str]) -> set[str]:
        """Compile the resources named anew. Return the names of which any variant came, went or has another version."""
        return {name for name in touched if self._refresh(name)}

    def find(self, name: str, namespace: str) -> Entry | None:
        """Return what sidecars of a namespace take: its own variant, else the one for everybody."""
        variants = self._variants.get(name)
        own = variants.get(namespace) if variants is not None else None
        return own if own is not None else self.entries.get(name)

    def snapshot(self) -> list[Entry]:
        """Return all entries, by name and consumer. What a sidecar would refuse is a defect here: RuntimeError."""
        entries = [
            entry
            for name, common in sorted(self.entries.items())
            for entry in (common, *(variant for _, variant in sorted(self._variants.get(name, {}).items())))
        ]
        if problems := check(entries):
            raise RuntimeError(f"compiled an inconsistent snapshot: {'; '.join(map(str, problems[:10]))}")
        return entries

    def _refresh(self, name: str) -> bool:
        compiled = compile_resource(self._index, name, self._trust_domain)
        former = self._variants.get(name, {})
        if name in self.entries:
            former = {"": self.entries[name], **former}
        entries = {
            # Replicas have equal workloads, and so one version.
            consumer: Entry(name=name, version=intern(version_of(resource)), consumer=consumer, resource=resource)
            for consumer, resource in compiled.items()
        }
        if former.keys() == entries.keys() and all(former[key].version == entries[key].version for key in former):
            return False
        common = entries.pop("", None)
        if common is not None:
            self.entries[name] = common
        else:
            self.entries.pop(name, None)
        if entries:
            self._variants[name] = entries
        else:
            self._variants.pop(name, None)
        return True


def compile_resource(index: Index, name: str, trust_domain: str) -> Mapping[str, Resource]:
    """Compile one resource: by consumer, the one for everybody under the empty string; nothing if it does not exist."""
    kind, namespace, owner, number = names.parse(name)
    key = Key(namespace, owner)
    if kind == "workload":
        pod = index.pods.get(key)
        return {"": compile_workload(index, pod)} if pod is not None else {}
    service = index.services.get(key)
    if service is None or service.spec.type == "ExternalName":
        return {}
    ports = mesh_ports(service)
    if kind == "service":
        shown = [ServicePort(port=port.port, name=port.name, protocol=protocol_of(port)) for port in ports]
        return {"": Service(ports=shown)}
    for port in ports:
        if port.port == number:
            match kind:
                case "routes":
                    return compile_routes(index, service, port)
                case "endpoints":
                    return {"": compile_endpoints(index, service, port, trust_domain)}
                case _:
                    return {"": Backend(protocol=protocol_of(port))}
    return {}
