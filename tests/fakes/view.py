"""A sidecar as the admin server sees it, without the sidecar."""

from __future__ import annotations

from meshproxy.admin.view import EndpointRow
from meshproxy.metrics.slots import Registry
from meshproxy.wire.resources import Backend, Endpoint, Endpoints, RouteBackend, Routes, Rule
from meshproxy.wire.snapshot import Entry, entry_of


def row(backend: str, address: str, **values) -> EndpointRow:
    defaults = {"state": "ready", "identity": "", "inflight": 0, "ewma_ms": 1.5, "failures": 0, "ejected_for_s": 0.0}
    return EndpointRow(backend=backend, address=address, **(defaults | values))


class FakeView:
    """Set its attributes; `drains` counts the calls."""

    def __init__(self, services: int = 1, endpoints: int = 2) -> None:
        self.registry = Registry()
        self.reason = ""
        self.drains = 0
        self.entries: list[Entry] = []
        self.rows: list[EndpointRow] = []
        for n in range(services):
            key = f"demo/echo-{n}:80"
            self.entries += [
                entry_of(f"backend/{key}", Backend()),
                entry_of(
                    f"endpoints/{key}",
                    Endpoints(
                        endpoints=[Endpoint(address=f"10.0.{i >> 8}.{i & 255}", port=80) for i in range(endpoints)]
                    ),
                ),
                entry_of(f"routes/{key}", Routes(rules=[Rule(name="default", backends=[RouteBackend(backend=key)])])),
            ]
            self.rows += [row(key, f"10.0.{i >> 8}.{i & 255}:80") for i in range(endpoints)]

    def unready(self) -> str:
        return self.reason

    def resources(self) -> list[Entry]:
        return self.entries

    def metrics(self) -> Registry:
        return self.registry

    async def endpoints(self) -> list[EndpointRow]:
        return self.rows

    def stream(self) -> dict[str, object]:
        return {"source": "ws://127.0.0.1:15012", "age_s": 1.5}

    def drain(self) -> None:
        self.drains += 1
