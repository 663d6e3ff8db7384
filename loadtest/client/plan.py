"""What a worker has to do, worked out of the scenario and its share before anything is sent."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from random import Random

from loadtest.arrivals import starts
from loadtest.client.call import Kind
from loadtest.messages import Work
from loadtest.scenario.model import Load, Scenario

Address = tuple[str, int]


class WorkError(ValueError):
    """The work cannot be done as it was given. The message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A phase of a closed loop: this worker's callers until then."""

    until_s: float
    callers: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`connections`: this worker's share of what may be open to each origin. `turn`: the address to begin with."""

    load: Load
    seed: int
    worker: int
    workers: int
    kinds: Sequence[Kind]
    addresses: dict[str, list[Address]]
    connections: int
    turn: int
    bin_s: float
    successes: frozenset[int]
    shifts: Sequence[Shift]
    """Of a closed loop; empty in an open one."""

    def starts(self) -> Iterator[tuple[float, int]]:
        """The intended starts of an open loop: (seconds, phase)."""
        rng = _rng(f"{self.seed} arrivals {self.worker} of {self.workers}")
        return starts(self.load.phases, self.load.arrivals, self.worker, self.workers, rng)

    def chooser(self) -> Callable[[], Kind]:
        """Draws kinds of requests by their weights."""
        if len(self.kinds) == 1:
            return repeat(self.kinds[0]).__next__
        rng = _rng(f"{self.seed} kinds {self.worker} of {self.workers}")
        return weighted(self.kinds, [request.weight for request in self.load.requests], rng)


def _rng(seed: str) -> Random:
    return Random(seed)  # noqa: S311 - nothing is secret about a load


def weighted(kinds: Sequence[Kind], weights: Sequence[float], rng: Random) -> Callable[[], Kind]:
    """Draws one of the kinds with a chance in proportion to its weight."""
    edges = list(accumulate(weights))
    last, total, draw = len(kinds) - 1, edges[-1], rng.random

    def choose() -> Kind:
        return kinds[bisect(edges, draw() * total, 0, last)]

    return choose


def share(whole: int, worker: int, workers: int) -> int:
    """An even part of `whole`; the first workers take what is left over."""
    return whole // workers + (worker < whole % workers)


def plan(work: Work, scenario: Scenario) -> Plan:
    """WorkError when the work does not fit the scenario."""
    load = scenario.load
    if not 0 <= work.worker < work.workers:
        raise WorkError(f"there is no worker {work.worker} of {work.workers}; allowed: 0 to {work.workers - 1}")
    if not work.bin_s > 0:
        raise WorkError(f"bin_s is {work.bin_s:g}; allowed: more than 0")
    kinds = []
    for request in load.requests:
        origin = request.to or scenario.first_origin
        if origin not in work.hosts or origin not in work.targets:
            raise WorkError(f"no targets or no host are given for origin {origin!r}")
        prefix = f"{work.run}-{work.worker}-"
        kinds.append(Kind(request, origin, work.hosts[origin], prefix, load.keep_alive))
    shifts = _shifts(load, work.worker, work.workers) if load.mode == "closed" else []
    limit = max((each.callers for each in shifts), default=share(load.connections, work.worker, work.workers))
    return Plan(
        load=load,
        seed=scenario.seed,
        worker=work.worker,
        workers=work.workers,
        kinds=kinds,
        addresses={kind.origin: addresses(kind.origin, work.targets[kind.origin]) for kind in kinds},
        connections=limit,
        turn=work.worker,
        bin_s=work.bin_s,
        successes=successes(load.success),
        shifts=shifts,
    )


def addresses(origin: str, texts: Sequence[str]) -> list[Address]:
    """HOST:PORT, or [HOST]:PORT, of an origin's targets; WorkError when there is none, or one is something else."""
    found = []
    for text in texts:
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise WorkError(f"address {text!r} of origin {origin!r} is not HOST:PORT")
        found.append((host.removeprefix("[").removesuffix("]"), int(port)))
    if not found:
        raise WorkError(f"origin {origin!r} has no address to call")
    return found


def successes(words: Sequence[str]) -> frozenset[int]:
    """Every status that one of the words, 200 or 2xx, stands for."""
    return frozenset(
        status for status in range(100, 600) if any(word in (str(status), f"{status // 100}xx") for word in words)
    )


def _shifts(load: Load, worker: int, workers: int) -> list[Shift]:
    until_s = list(accumulate(phase.for_ for phase in load.phases))
    return [
        Shift(end_s, share(phase.callers or 0, worker, workers))
        for end_s, phase in zip(until_s, load.phases, strict=True)
    ]
