"""Whether the sidecar's figures stay where they are with a push stream, and with pushes on it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from tests.bench import mesh
from tests.bench.load import Sample, closed_loop, open_loop
from tests.bench.place import Place, free_port, wait_ready
from tests.bench.plan import Plan
from tests.bench.plane import Plane, figure, plane
from tests.bench.report import BUSY, FAILED, OTHERS, Column, Sheet, grouped
from tests.bench.subjects import Subject, meshproxy

RATE = 5_000
PUSHES_PER_S = 10
SPARES = 9
"""Endpoints beside the one that serves; not ready, so that every subject does the same work for a request."""
SHORT = 0.8
"""Fewer of the intended pushes than this share, and the row is a failure."""

SNAPSHOT = "snapshot file"
IDLE = "push stream"
PUSHED = f"push stream, {PUSHES_PER_S} pushes/s"

PUSHES = Column("pushes", "pushes/s", 1)
CLOSED_LOOP = [
    Column("rps", "requests/s", spread=True, ratio=True),
    Column("cpu_us", "CPU us/request", 1, ratio=True),
    PUSHES,
    BUSY,
    OTHERS,
    Column("rss", "RSS MB", scale=1e-6, worst=True),
    FAILED,
]
OPEN_LOOP = [
    Column("p50_us", "p50 us", spread=True, ratio=True),
    Column("p99_us", "p99 us", spread=True, ratio=True),
    Column("p99.9_us", "p99.9 us"),
    Column("cpu_us", "CPU us/request", 1),
    Column("rps", "answered/s"),
    PUSHES,
    OTHERS,
    FAILED,
]


@dataclass(frozen=True)
class Follower(Subject):
    """A sidecar that a control plane tells, both its own."""

    plane: Plane
    admin: int

    def pushes(self) -> float:
        """How many it has taken so far."""
        return figure(self.admin, "meshproxy_pushes_total")


def follower(place: Place) -> Follower:
    """Start both; the control plane on the load's core, since it is not what is measured."""
    objects = mesh.objects(endpoint=place.upstream, spares=SPARES)
    control = plane(place, objects, on_load_core=True)
    outbound, admin = free_port(), free_port()
    process = mesh.follower(place, f"follower-{outbound}", control.push, outbound, admin)
    wait_ready(outbound, [process])
    return Follower("meshproxy", outbound, [process], control, admin)


def pushes(plan: Plan) -> Iterator[Sheet]:
    """One sidecar with a snapshot file; with a stream on which nothing happens; with one on which endpoints change."""
    with (
        plan.started({"meshproxy": partial(meshproxy, spares=SPARES)}) as alone,
        plan.started({"meshproxy": follower}) as quiet,
        plan.started({"meshproxy": follower}) as told,
    ):
        if not (alone and quiet and told):
            return
        subjects = [replace(alone[0], name=SNAPSHOT), replace(quiet[0], name=IDLE), replace(told[0], name=PUSHED)]

        def closed(subject: Subject, seconds: float) -> Sample:
            with _changes(plan.place, subject) as counted:
                sample = closed_loop(plan.place, subject, seconds, "same")
            return judged(sample | counted | {"rss": subject.rss_bytes()}, subject)

        def opened(subject: Subject, seconds: float) -> Sample:
            with _changes(plan.place, subject) as counted:
                sample = open_loop(plan.place, subject, seconds, RATE, plan.warm_s)
            return judged(sample | counted, subject)

        title = f"pushes of an endpoint of the Service that is called, {SPARES + 1} endpoints"
        yield plan.in_turns(Sheet("pushes", f"{title}, 32 connections", CLOSED_LOOP, SNAPSHOT), subjects, closed)
        title = f"{title}, open loop, {grouped(RATE)} requests/s"
        yield plan.in_turns(Sheet("pushes", title, OPEN_LOOP, SNAPSHOT), subjects, opened)


@contextmanager
def _changes(place: Place, subject: Subject) -> Iterator[Sample]:
    """While the block lasts, change what the subject follows if it is the one for that; afterwards: pushes a second."""
    counted: Sample = {}
    if not isinstance(subject, Follower):
        yield counted
        return
    before, began = subject.pushes(), time.monotonic()
    ending = threading.Event()
    changer = threading.Thread(target=_change, args=(place, subject, ending))
    if subject.name == PUSHED:
        changer.start()
    yield counted
    elapsed_s = time.monotonic() - began
    if subject.name == PUSHED:
        ending.set()
        changer.join()
    counted["pushes"] = (subject.pushes() - before) / elapsed_s


def _change(place: Place, subject: Follower, ending: threading.Event) -> None:
    os.sched_setaffinity(0, {place.cores.load})  # of this thread alone
    began = time.monotonic()
    turn = 0
    while not ending.wait(max(0.0, began + turn / PUSHES_PER_S - time.monotonic())):
        turn += 1
        # Turns of different calls differ: what says the same as before is no change.
        number = int(began * 1_000) + turn
        subject.plane.put(mesh.slice_of("echo", place.upstream, SPARES, number))


def judged(sample: Sample, subject: Subject) -> Sample:
    """Too few pushes, or any where none are meant, are a failure."""
    found = sample.get("pushes", 0.0)
    meant = found > PUSHES_PER_S * SHORT if subject.name == PUSHED else not found
    return sample if meant else sample | {"failed": sample["failed"] + 1}
