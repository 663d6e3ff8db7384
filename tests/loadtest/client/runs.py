"""Runs a load in this process, and puts the reports together as a run does."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from time import monotonic
from typing import Any

from loadtest.client.caller import Caller
from loadtest.client.plan import Plan, plan
from loadtest.messages import CHUNK, Report, Work
from loadtest.scenario.model import Scenario
from tests.fakes.origin import Connection

RUN = "run"


class Seen:
    """Everything that was reported. `cells` by (phase, bin); `ledger` by number of request."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], dict[str, Counter[Any]]] = {}
        self.lateness: Counter[int] = Counter()
        self.ledger: dict[int, int] = {}
        self.sent = 0
        self.most_open = 0

    def add(self, report: Report) -> None:
        for cell in report.cells:
            found = self.cells.setdefault(
                (cell.phase, cell.bin), {"counts": Counter(), "ok": Counter(), "all": Counter()}
            )
            found["counts"].update(cell.counts)
            found["ok"].update(cell.ok)
            found["all"].update(cell.all)
        self.lateness.update(report.lateness)
        for chunk in report.chunks:
            assert len(chunk.seen) == CHUNK
            for place, seen in enumerate(chunk.seen):
                assert self.ledger.setdefault(chunk.index * CHUNK + place, seen) == seen, "a chunk is reported once"
        self.most_open = max(self.most_open, report.open_connections)

    def total(self, what: str, cells: Iterable[tuple[int, int]] | None = None) -> Counter[Any]:
        found: Counter[Any] = Counter()
        for key in self.cells if cells is None else cells:
            found.update(self.cells[key][what])
        return found

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.total("counts"))

    @property
    def latencies(self) -> list[int]:
        """Of every request, sorted, in microseconds."""
        return sorted(self.total("all").elements())

    @property
    def bytes_seen(self) -> list[int]:
        """The ledger of the requests that there were."""
        return [self.ledger[number] for number in range(self.sent)]


def planned(
    load: dict[str, Any],
    targets: dict[str, list[str]],
    *,
    worker: int = 0,
    workers: int = 1,
    bin_s: float = 0.1,
    seed: int = 1,
) -> Plan:
    origins: dict[str, Any] = {name: {} for name in targets}
    scenario = Scenario.model_validate({"name": "test", "seed": seed, "origins": origins, "load": load})
    hosts = {name: f"{name}.test" for name in targets}
    return plan(Work("", RUN, worker, workers, targets, hosts, bin_s), scenario)


@contextlib.asynccontextmanager
async def calling(plan: Plan, at_s: float | None = None) -> AsyncIterator[tuple[Caller, Seen]]:
    """A run that has begun; waited for at the end of the block."""
    caller, seen = Caller(plan), Seen()
    caller.start(monotonic() if at_s is None else at_s)
    try:
        yield caller, seen
        while not caller.done.done():
            await asyncio.wait([caller.done], timeout=0.05)
            seen.add(caller.take())
        seen.add(caller.take())
        seen.sent = caller.done.result()
    finally:
        caller.stop()


async def run(load: dict[str, Any], target: str | dict[str, list[str]], **options: Any) -> Seen:
    """A whole load against HOST:PORT, or several by origin."""
    targets = {"echo": [target]} if isinstance(target, str) else target
    async with calling(planned(load, targets, **options)) as (_, seen):
        pass
    return seen


def open_loop(number: int, rate: int = 200, **fields: Any) -> dict[str, Any]:
    """So many requests, evenly."""
    return {"phases": [{"for": f"{int(number / rate * 1e6)}us", "rate": f"{rate}/s"}], **fields}


def at(origin: Any) -> str:
    return f"{origin.host}:{origin.port}"


def files() -> int:
    """How many descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def head(connection: Connection) -> bytes:
    """A request as it came, up to its empty line; empty at the end. What follows the head is dropped."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await connection.read()
        if not piece:
            return b""
        data += piece
    return data
