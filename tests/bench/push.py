"""Measure what one endpoint change costs the control plane, by the number of sidecars that follow the Service.

`python -m tests.bench.push`: this process is the control plane (index, compiler, hub, push server), another one holds
the streams. The streams' side reads frames and acknowledges them, nothing else, so that it is not what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry

from control.compile.compiler import Compiler
from control.index.index import Index
from control.model.decode import decode
from control.push.bounds import Bounds
from control.push.hub import Hub
from control.push.server import PushServer
from tests.bench.streams import hold_streams
from tests.control.build import endpoint_slice, pod, service

FOLLOWERS = (1, 20, 100, 1_000)
"""Measured with so many followers of the changed Service, as far as there are so many streams."""
PORT_KINDS = ("routes", "backend", "endpoints")


class Plane:
    """A control plane without a store: objects go straight to the index."""

    def __init__(self, services: int, endpoints: int) -> None:
        self.index = Index()
        self.compiler = Compiler(self.index)
        self._endpoints = endpoints
        self._turns = 0
        for n in range(services):
            for document in self._documents(n):
                self.index.apply(decode(document))
        self.compiler.refresh(self.index.names())
        self.hub = Hub(self.compiler.find, self._services_of, CollectorRegistry(), bounds=Bounds(streams=10_000))

    def change(self, n: int) -> None:
        """Replace one endpoint of a Service."""
        self._turns += 1
        began = time.monotonic()
        touched = self.index.apply(decode(self._slice(n, self._turns)))
        self.hub.publish(self.compiler.refresh(touched), began)

    def acknowledged(self) -> bool:
        return all(row.synced for row in self.hub.proxies())

    def _documents(self, n: int) -> Iterator[dict[str, Any]]:
        yield service(f"s{n}")
        for k in range(self._endpoints):
            yield pod(f"s{n}-{k}", f"s{n}", app=f"s{n}", version="v1")
        yield self._slice(n, 0)

    def _slice(self, n: int, turn: int) -> dict[str, Any]:
        places = [f"10.{n // 250}.{n % 250}.{k + 1}" for k in range(self._endpoints - 1)]
        places.append(f"11.{turn // 62_500}.{turn // 250 % 250}.{turn % 250 + 1}")
        conditions = {"ready": True, "serving": True, "terminating": False}
        endpoints = [
            {
                "addresses": [place],
                "conditions": conditions,
                "zone": "zone-a",
                "nodeName": f"node-{k}",
                "targetRef": {"kind": "Pod", "name": f"s{n}-{k}", "namespace": "shop"},
            }
            for k, place in enumerate(places)
        ]
        return endpoint_slice(f"s{n}", *endpoints)

    def _services_of(self, namespace: str) -> list[str]:
        return [name for name in self.compiler.entries if name.startswith(f"service/{namespace}/")]


def names_of(stream: int, options: argparse.Namespace) -> list[str]:
    """Return what a stream follows: Service k of FOLLOWERS' first ones if it is among its followers, and others."""
    first = [k for k, count in enumerate(FOLLOWERS) if stream < count]
    rest = options.follow - len(first)
    others = options.services - len(FOLLOWERS)
    chosen = first + [len(FOLLOWERS) + (stream * rest + k) % others for k in range(rest)]
    return [name for n in chosen for name in (f"service/shop/s{n}", *(f"{kind}/shop/s{n}:80" for kind in PORT_KINDS))]


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    plane = Plane(options.services, options.endpoints)
    server = PushServer(plane.hub)
    gc.collect()
    gc.freeze()
    before_mb = _rss_mb()
    _, port = await server.start(("127.0.0.1", 0))
    command = [sys.executable, "-m", "tests.bench.push", *sys.argv[1:], "--hold", str(port)]
    began, cpu = time.monotonic(), time.process_time()
    with subprocess.Popen(command) as child:  # noqa: ASYNC220 - nothing else runs yet
        try:
            async with asyncio.timeout(60):
                while len(plane.hub.proxies()) < options.streams or not plane.acknowledged():
                    if child.poll() is not None:
                        raise RuntimeError("the streams' process has ended")
                    await asyncio.sleep(0.05)
            result: dict[str, Any] = {
                "streams": options.streams,
                "connect_wall_s": round(time.monotonic() - began, 2),
                "connect_cpu_s": round(time.process_time() - cpu, 2),
                "rss_without_streams_mb": round(before_mb),
                "changes": [],
            }
            for k, count in enumerate(FOLLOWERS):
                if count <= options.streams and count in options.followers:
                    result["changes"].append(await _measure_changes(plane, k, count, options.rounds))
            result["rss_mb"] = round(_rss_mb())
        finally:
            child.terminate()
    await server.stop()
    return result


async def _measure_changes(plane: Plane, n: int, followers: int, rounds: int) -> dict[str, Any]:
    counter = _Acks(plane.hub)
    cpus, walls = [], []
    for _ in range(rounds):
        counter.begin(followers)
        cpu, began = time.process_time(), time.monotonic()
        plane.change(n)
        await counter.done()
        cpus.append(time.process_time() - cpu)
        walls.append(time.monotonic() - began)
        await asyncio.sleep(0.01)
    aim_ms = 2 + 0.030 * followers
    return {
        "followers": followers,
        "cpu_ms": round(median(cpus) * 1e3, 2),
        "aim_ms": aim_ms,
        "us_per_follower": round((median(cpus)) * 1e6 / followers, 1),
        "wall_ms": round(median(walls) * 1e3, 2),
        "wall_p99_ms": round(quantiles(walls, n=100)[98] * 1e3, 2),
    }


class _Acks:
    """Counts acknowledgements where the hub takes them."""

    def __init__(self, hub: Hub) -> None:
        self._left = 0
        self._event = asyncio.Event()
        self._take = hub.on_ack
        hub.on_ack = self._on_ack  # type: ignore[method-assign]

    def begin(self, count: int) -> None:
        self._left = count
        self._event.clear()

    async def done(self) -> None:
        async with asyncio.timeout(10):
            await self._event.wait()

    def _on_ack(self, *taken: Any) -> None:
        self._take(*taken)
        self._left -= 1
        if not self._left:
            self._event.set()


def _rss_mb() -> float:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.push", description=__doc__)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--services", type=int, default=1_000)
    parser.add_argument("--endpoints", type=int, default=10, help="of each Service (10)")
    parser.add_argument("--follow", type=int, default=20, help="Services that each stream follows (20)")
    parser.add_argument("--rounds", type=int, default=100, help="changes measured per number of followers (100)")
    parser.add_argument(
        "--followers", type=int, nargs="*", choices=FOLLOWERS, default=FOLLOWERS, help="only with so many followers"
    )
    parser.add_argument("--hold", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold:
        uvloop.run(hold_streams(options.hold, [names_of(n, options) for n in range(options.streams)]))
        return 0
    print(json.dumps(uvloop.run(measure(options)), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
