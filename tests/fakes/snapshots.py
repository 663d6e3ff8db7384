"""Snapshots for tests: Services with their endpoints, routes and settings, in as few words as a test has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from meshproxy.wire import resources as wire
from meshproxy.wire.snapshot import Entry, entry_of


class Listening(Protocol):
    host: str
    port: int


def endpoint(place: Listening, **values) -> wire.Endpoint:
    return wire.Endpoint(address=place.host, port=place.port, **values)


def service(
    name: str,
    endpoints: Iterable[wire.Endpoint | Listening],
    *,
    backend: wire.Backend | None = None,
    rules: list[wire.Rule] | None = None,
    matches: list[wire.RouteMatch] | None = None,
    **rule,
) -> list[Entry]:
    """Service `name` in namespace `default` on port 80, with one rule of `rule`'s fields unless `rules` are given."""
    specs = [one if isinstance(one, wire.Endpoint) else endpoint(one) for one in endpoints]
    specs.sort(key=lambda spec: (tuple(map(int, spec.address.split("."))), spec.port))
    if rules is None:
        rules = [
            wire.Rule(name=f"default/{name}/0", backends=[wire.RouteBackend(backend=f"default/{name}:80")], **rule)
        ]
    if matches is None:
        matches = [wire.RouteMatch(rule=n) for n in range(len(rules))]
    return [
        entry_of(f"service/default/{name}", wire.Service(ports=[wire.ServicePort(port=80)])),
        entry_of(f"backend/default/{name}:80", backend or wire.Backend()),
        entry_of(f"endpoints/default/{name}:80", wire.Endpoints(endpoints=specs)),
        entry_of(f"routes/default/{name}:80", wire.Routes(matches=matches, rules=rules)),
    ]
