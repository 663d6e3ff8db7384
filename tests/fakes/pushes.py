"""Pushes for tests, in as few words as a test has."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import msgspec

from meshproxy.wire import resources as wire
from meshproxy.wire.canonical import encode
from meshproxy.wire.snapshot import Entry, entry_of
from meshproxy.wire.stream import Patch, Push, Update

_nonces = itertools.count(1)


def whole(entry: Entry) -> Update:
    return Update(name=entry.name, version=entry.version, resource=msgspec.Raw(encode(entry.resource)))


def patched(former: Entry, entry: Entry) -> Update:
    """What makes one version of endpoints out of another one."""
    before, after = ({(item.address, item.port): item for item in one.resource.endpoints} for one in (former, entry))
    patch = Patch(
        base=former.version,
        upsert=[item for place, item in after.items() if before.get(place) != item],
        remove=[f"{address}:{port}" for address, port in before if (address, port) not in after],
    )
    return Update(name=entry.name, version=entry.version, patch=patch)


def push(*updated: Entry | Update, removed: Iterable[str] = ()) -> Push:
    return Push(
        nonce=str(next(_nonces)),
        updated=[one if isinstance(one, Update) else whole(one) for one in updated],
        removed=list(removed),
    )


def service(key: str, *ports: int) -> Entry:
    return entry_of(f"service/{key}", wire.Service(ports=[wire.ServicePort(port=port) for port in ports or (80,)]))


def backend(key: str, **values) -> Entry:
    return entry_of(f"backend/{key}", wire.Backend(**values))


def endpoints(key: str, *numbers: int) -> Entry:
    items = [wire.Endpoint(address=f"10.0.0.{number}", port=80) for number in numbers]
    return entry_of(f"endpoints/{key}", wire.Endpoints(endpoints=items))


def routes(key: str, *backends: str, name: str = "r") -> Entry:
    """One rule that shares what comes to a port between backends."""
    rule = wire.Rule(name=name, backends=[wire.RouteBackend(backend=one) for one in backends])
    return entry_of(f"routes/{key}", wire.Routes(matches=[wire.RouteMatch(rule=0)], rules=[rule]))


def lane(key: str, *numbers: int) -> list[Entry]:
    """A port with routes to itself."""
    return [backend(key), endpoints(key, *numbers), routes(key, key)]
