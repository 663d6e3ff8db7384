"""Route changes as fast as they are acknowledged: `python -m tests.bench.writers PORT TOKEN_FILE CONNECTIONS SECONDS`.

Each connection shifts the weights of a route of its own, one change after another, and prints what came of all of them
as one line of JSON. A change counts if the answer is the route with the weights that were asked for, in a new version.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

import msgspec
import uvloop
from msgspec import Struct

from tests.bench.catalog import path_of, route_of
from tests.bench.pace import percentile
from tests.bench.rest import Rest

MERGE_PATCH = "application/merge-patch+json"


class Metadata(Struct, rename="camel"):
    resource_version: str


class Spec(Struct):
    rules: list[dict[str, object]]


class Route(Struct):
    metadata: Metadata
    spec: Spec


_route = msgspec.json.Decoder(Route)


class Writers:
    """What all connections have done."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.failed = 0

    async def write(self, rest: Rest, n: int, end: float) -> None:
        """Shift the weights of route n until `end`."""
        path, version, turn = path_of(route_of(n, 0)), "", 0
        while (began := time.monotonic()) < end:
            turn += 1
            rules = route_of(n, turn % 100)["spec"]["rules"]
            status, body = await rest.call("PATCH", path, {"spec": {"rules": rules}}, MERGE_PATCH)
            self.latencies.append(time.monotonic() - began)
            route = _route.decode(body) if status == 200 else None
            if route is None or route.spec.rules != rules or route.metadata.resource_version == version:
                self.failed += 1
            else:
                version = route.metadata.resource_version


async def run(port: int, token: str, connections: int, seconds: float) -> dict[str, float]:
    """rps acknowledged, failed, p50_us, p99_us of the time from a request to its answer."""
    opened = [await Rest.open(port, token) for _ in range(connections)]
    writers, began = Writers(), time.monotonic()
    await asyncio.gather(*(writers.write(rest, n, began + seconds) for n, rest in enumerate(opened)))
    elapsed_s = time.monotonic() - began
    for rest in opened:
        rest.close()
    ordered = sorted(writers.latencies)
    return {
        "requests": len(ordered),
        "rps": (len(ordered) - writers.failed) / elapsed_s,
        "failed": writers.failed,
        "p50_us": percentile(ordered, 50) * 1e6,
        "p99_us": percentile(ordered, 99) * 1e6,
    }


if __name__ == "__main__":
    gc.disable()
    token = Path(sys.argv[2]).read_text().strip()
    print(json.dumps(uvloop.run(run(int(sys.argv[1]), token, int(sys.argv[3]), float(sys.argv[4])))))
