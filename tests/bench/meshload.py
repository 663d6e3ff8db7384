"""meshload's own processes as a bench sees them: its generator with a load, its origin as a target."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

from loadtest.block import APP_PORT, Block
from loadtest.messages import Done, FromOrigin, FromWorker, Listening, Ready, Report, Serve, Start, Stop, Work
from loadtest.process import ChildError
from loadtest.results.sums import Sums
from loadtest.scenario.figures import bin_width
from loadtest.scenario.load import parse
from loadtest.stage.speaker import Speaker
from tests.bench.place import HOST, Cores
from tests.bench.report import Sample
from tests.bench.share import Share

RUN = "bench"
LEAD_S = 0.2
"""From the order to the start."""

Address = tuple[str, int]


def scenario(load: dict[str, Any], seed: int = 1, origin: dict[str, Any] | None = None) -> str:
    """The text of a scenario with this load, on one origin."""
    return yaml.safe_dump({"name": RUN, "seed": seed, "origins": {HOST: origin or {}}, "load": load}, sort_keys=False)


def lasting(seconds: float) -> str:
    """As a scenario says it."""
    return f"{seconds:.6f}s"


@dataclass
class Loaded:
    """What a generator process told of its load."""

    sums: Sums
    cpu_s: float = 0.0
    """From the start of the load."""
    used: Sample = field(default_factory=dict)
    """The same as its share of the core, and what others used."""
    sent: int = 0
    known: int = 0
    """Requests whose outcome was told, so far."""
    failed: int = 0
    pid: int = 0

    def take(self, report: Report) -> None:
        for cell in report.cells:
            self.sums.add(cell)
            self.known += sum(cell.counts.values())
            self.failed += sum(cell.counts.values()) - sum(cell.ok.values())
        self.sums.add_lateness(report.lateness)
        self.cpu_s = report.cpu_s


Watch = Callable[[Loaded], bool]
"""Told of every report, and once before the first; whether that is enough of it."""


async def load(text: str, target: Address, cores: Cores, watch: Watch = lambda _: False) -> Loaded:
    """One generator process on the load's core carries out a scenario. ChildError when it cannot."""
    meant = parse(text)
    loaded = Loaded(Sums(meant, bin_width(meant.duration_s)))
    speaker: Speaker[FromWorker] = await Speaker.begin("generator", "loadtest.client", FromWorker, [cores.load])
    try:
        loaded.pid = speaker.child.pid
        speaker.tell(_work(text, target, loaded.sums.bin_s))
        if not isinstance(await speaker.hear(), Ready):
            raise ChildError("the generator did not become ready")
        is_enough = watch(loaded)
        share = Share(cores)
        speaker.tell(Start(at=time.monotonic() + LEAD_S))
        while not isinstance(message := await speaker.hear(), Done):
            if isinstance(message, Report):
                loaded.take(message)
                if not is_enough and (is_enough := watch(loaded)):
                    speaker.tell(Stop())
        loaded.used = share.read(loaded.cpu_s)
        loaded.sent = message.sent
    finally:
        await speaker.child.end()
    return loaded


def _work(text: str, target: Address, bin_s: float) -> Work:
    host, port = target
    return Work(text, RUN, 0, 1, targets={HOST: [f"{host}:{port}"]}, hosts={HOST: HOST}, bin_s=bin_s)


@asynccontextmanager
async def origin(text: str, core: int) -> AsyncIterator[Address]:
    """The one instance of a scenario's origin, on a core, begun anew: its draws are those of the scenario's seed."""
    block = Block()
    try:
        address = block.address()
        speaker: Speaker[FromOrigin] = await Speaker.begin("origin", "loadtest.origin", FromOrigin, [core])
        try:
            speaker.tell(Serve(text, RUN, {HOST: [address]}, APP_PORT, bin_width(parse(text).duration_s)))
            if not isinstance(await speaker.hear(), Listening):
                raise ChildError("the origin did not listen")
            yield address, APP_PORT
        finally:
            await speaker.child.end()
    finally:
        block.release()
