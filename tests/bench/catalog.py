"""The objects of a mesh to measure with: many Services, each with a route, and with a Pod behind every endpoint."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from control.model.kinds import find
from control.model.objects import Key
from control.store.store import Store
from control.store.verbs import Write, create
from meshproxy.kit.stamp import stamp_second
from tests.control.build import endpoint, endpoint_slice, http_route, pod, rule, service

Object = dict[str, Any]

NAMESPACE = "shop"
PORT_KINDS = ("routes", "backend", "endpoints")
AT_ONCE = 1_000
"""Writes that wait for the store together."""
READY = {"ready": True, "serving": True, "terminating": False}


def documents(services: int, endpoints: int) -> Iterator[Object]:
    """Services s0, s1, ... with so many endpoints each: `services * (3 + endpoints)` objects."""
    for n in range(services):
        yield service(f"s{n}")
        for k in range(endpoints):
            yield pod(f"s{n}-{k}", f"s{n}", app=f"s{n}", version="v1")
        yield slice_of(n, endpoints)
        yield route_of(n, 100)


def slice_of(n: int, endpoints: int, turn: int = 0) -> Object:
    """The endpoints of a Service; the last one has another address in every turn."""
    places = [f"10.{n // 250}.{n % 250}.{k + 1}" for k in range(endpoints - 1)]
    return endpoint_slice(
        f"s{n}",
        *(
            endpoint(place, f"s{n}-{k}", conditions=READY, zone="zone-a", nodeName=f"node-{k}")
            for k, place in enumerate([*places, place_of(turn)])
        ),
    )


def place_of(turn: int) -> str:
    """The address that came with that turn."""
    return f"11.{turn // 62_500}.{turn // 250 % 250}.{turn % 250 + 1}"


def route_of(n: int, weight: int) -> Object:
    """Sends so many of a hundred requests for a Service to itself, the others to the other one of its pair."""
    itself = {"name": f"s{n}", "port": 80, "weight": weight}
    other = {"name": f"s{n ^ 1}", "port": 80, "weight": 100 - weight}
    return http_route(f"s{n}", rule(itself, other, timeouts={"request": "15s"}))


def path_of(document: Object) -> str:
    """Where the API has the object."""
    kind, metadata = find(document["kind"]), document["metadata"]
    root = "apis" if kind.group else "api"
    return f"/{root}/{kind.api_version}/namespaces/{metadata['namespace']}/{kind.plural}/{metadata['name']}"


def names_of(n: int) -> list[str]:
    """What a sidecar follows of a Service."""
    owner = f"{NAMESPACE}/s{n}"
    return [f"service/{owner}", *(f"{kind}/{owner}:80" for kind in PORT_KINDS)]


def seed(directory: Path, objects: Iterable[Object]) -> int:
    """Store the objects in a data directory, as creations by the API are stored; how many they were."""
    return asyncio.run(stored(directory, objects))


async def stored(directory: Path, objects: Iterable[Object]) -> int:
    """As `seed`, within a running loop."""
    store = await Store.open(directory)
    try:
        remaining = iter(objects)
        while some := list(islice(remaining, AT_ONCE)):
            await asyncio.gather(*(_create(store, document) for document in some))
        return len(store)
    finally:
        await store.close()


async def _create(store: Store, document: Object) -> None:
    kind, metadata = find(document["kind"]), document["metadata"]
    key = Key(metadata["namespace"], metadata["name"])
    write = Write(kind, key, "bench", stamp_second(time.time()), str(uuid.uuid4()))
    await store.mutate(kind, key, partial(create, document=document, write=write))
