"""The control plane's measurements: what a change costs, what a write, what a start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection, HTTPException
from math import ceil

from tests.bench import catalog, disk
from tests.bench.followers import Order, Outcome, Setup
from tests.bench.load import Meter, Sample, writes
from tests.bench.plan import Plan
from tests.bench.plane import Plane, followers, launch, plane
from tests.bench.process import StartError
from tests.bench.report import BUSY, FAILED, OTHERS, Column, Sheet, grouped
from tests.bench.streams import LightStream
from tests.bench.subjects import Subject

SERVICES = 1_000
ENDPOINTS = 10
STREAMS = 1_000
FOLLOW = 20
"""Services that each sidecar follows."""
WATCHED = [0, 1, 10, 100, 1_000]
"""Followers of the Services that are changed; without any, the cost is that of API, store and compiler."""
FLEET = 100
"""Sidecars of the latency's measurement."""
LEAST_CHANGES = 200
IDLE_S = 2.0
CONNECTIONS = (1, 8, 64)
STORED_ENDPOINTS = 7
"""Of each Service where writes and starts are measured: 1 000 Services are 10 000 objects then."""
START_S = 60.0
RETRY_S = 0.005

AIM_BASE_MS = 2.0
AIM_FOLLOWER_MS = 0.030

RSS = Column("rss", "RSS MB", scale=1e-6, worst=True)
CHANGES = Column("changes", "changes")
LATENCY = [
    Column("p50_s", "p50 ms", 1, 1e3, spread=True),
    Column("p99_s", "p99 ms", 1, 1e3, spread=True),
    Column("answered_p50_s", "from the answer: p50 ms", 1, 1e3),
    Column("answered_p99_s", "p99 ms", 1, 1e3),
    CHANGES,
    Column("cpu_us", "CPU ms/change", 2, 1e-3),
    OTHERS,
    RSS,
    FAILED,
]
COST = [
    Column("cpu_us", "CPU ms/change", 2, 1e-3, spread=True),
    Column("aim_us", "aim ms", 2, 1e-3),
    Column("follower_us", "more than without followers: CPU us/follower", 1),
    Column("p50_s", "to the last Ack: p50 ms", 1, 1e3),
    Column("p99_s", "p99 ms", 1, 1e3),
    CHANGES,
    Column("idle", "idle core busy %", 1, 100),
    OTHERS,
    RSS,
    FAILED,
]
WRITES = [
    Column("rps", "changes/s", spread=True),
    Column("p50_us", "p50 ms", 2, 1e-3),
    Column("p99_us", "p99 ms", 2, 1e-3),
    Column("cpu_us", "CPU us/change"),
    BUSY,
    OTHERS,
    RSS,
    FAILED,
]
START = [
    Column("push_s", "first push s", 2, spread=True),
    Column("ready_s", "/healthz s", 2),
    Column("cpu_us", "CPU s", 2, 1e-6),
    OTHERS,
    RSS,
]


def push(plan: Plan) -> Iterator[Sheet]:
    """An endpoint is replaced through the API: when all who follow its Service have said Ack, and what that costs."""
    mesh = f"{grouped(SERVICES)} Services with {ENDPOINTS} endpoints"
    with plan.started({"meshcontrol": partial(plane, objects=catalog.documents(SERVICES, ENDPOINTS))}) as found:
        for subject in found:
            assert isinstance(subject, Plane)
            yield _latency(plan, subject, f"an endpoint replaced, {FLEET} streams, {mesh}")
            yield _cost(plan, subject, f"an endpoint replaced, {grouped(STREAMS)} streams, {mesh}")


def writing(plan: Plan) -> Iterator[Sheet]:
    """Route changes through the API, each on the disk before it is acknowledged; and starting with what is stored."""
    objects = SERVICES * (3 + STORED_ENDPOINTS)
    with plan.started({"meshcontrol": partial(plane, objects=catalog.documents(SERVICES, STORED_ENDPOINTS))}) as found:
        for subject in found:
            assert isinstance(subject, Plane)
            yield _writes(plan, subject, f"route changes, each durable, {grouped(objects)} objects stored")
            plan.place.stop(list(subject.processes))
            yield _start(plan, subject, objects)


def _latency(plan: Plan, subject: Plane, title: str) -> Sheet:
    setup = _setup(subject, FLEET, [FLEET])
    with followers(plan.place, subject, setup) as fleet:

        def measure(_: Subject, seconds: float) -> Sample:
            order = Order(service=0, seconds=seconds, least=_least(plan, seconds), is_confirmed=True)
            meter = Meter.start(plan.place, subject)
            outcome = fleet.change(order)
            return _sample(outcome) | meter.read(outcome.changes) | {"rss": subject.rss_bytes()}

        return plan.in_turns(Sheet("push", title, LATENCY), [replace(subject, name=f"{FLEET} followers")], measure)


def _cost(plan: Plan, subject: Plane, title: str) -> Sheet:
    setup = _setup(subject, STREAMS, WATCHED)
    rows = {_counted(count, "follower"): k for k, count in enumerate(WATCHED)}
    bases: list[float] = []
    with followers(plan.place, subject, setup) as fleet:
        idle = _idle(plan, subject)

        def measure(row: Subject, seconds: float) -> Sample:
            k = rows[row.name]
            order = Order(service=k, seconds=seconds, least=_least(plan, seconds), is_confirmed=False)
            meter = Meter.start(plan.place, subject)
            outcome = fleet.change(order)
            read = meter.read(outcome.changes)
            # Pings and deadlines of a thousand streams cost the same without any change.
            cost_us = read["cpu_us"] * (1 - idle / read["busy"])
            aim_us = (AIM_BASE_MS + AIM_FOLLOWER_MS * WATCHED[k]) * 1e3
            figures = {"cpu_us": cost_us, "aim_us": aim_us, "idle": idle, "rss": subject.rss_bytes()}
            if WATCHED[k]:
                figures["follower_us"] = (cost_us - bases[-1]) / WATCHED[k]
            else:
                bases.append(cost_us)
            return _sample(outcome) | read | figures

        return plan.in_turns(Sheet("push", title, COST), [replace(subject, name=name) for name in rows], measure)


def _writes(plan: Plan, subject: Plane, title: str) -> Sheet:
    rows = {_counted(count, "connection"): count for count in CONNECTIONS}

    def measure(row: Subject, seconds: float) -> Sample:
        return writes(plan.place, subject, rows[row.name], seconds) | {"rss": subject.rss_bytes()}

    sheet = Sheet("writes", f"{title}, {disk.describe(subject.directory)}", WRITES)
    return plan.in_turns(sheet, [replace(subject, name=name) for name in rows], measure)


def _counted(count: int, word: str) -> str:
    return f"{grouped(count) if count else 'no'} {word}{'' if count == 1 else 's'}"


def _setup(subject: Plane, streams: int, watched: list[int]) -> Setup:
    return Setup(
        api=subject.port,
        push=subject.push,
        token=subject.token,
        streams=streams,
        services=SERVICES,
        endpoints=ENDPOINTS,
        follow=FOLLOW,
        watched=watched,
    )


def _least(plan: Plan, seconds: float) -> int:
    """All rounds together make enough changes for a 99th percentile; a warm-up need not."""
    return ceil(LEAST_CHANGES / plan.rounds) if seconds >= plan.seconds else 1


def _idle(plan: Plan, subject: Plane) -> float:
    """The share of a core that it uses while nothing changes."""
    meter = Meter.start(plan.place, subject)
    time.sleep(IDLE_S)
    return meter.read(1)["busy"]


def _sample(outcome: Outcome) -> Sample:
    return {
        "changes": outcome.changes,
        "failed": outcome.failed,
        "p50_s": outcome.p50_s,
        "p99_s": outcome.p99_s,
        "answered_p50_s": outcome.answered_p50_s,
        "answered_p99_s": outcome.answered_p99_s,
    }


def _start(plan: Plan, stored: Plane, objects: int) -> Sheet:
    empty = plan.place.directory / "empty"
    directories = {"nothing stored": empty, f"{grouped(objects)} objects": stored.directory}

    def measure(row: Subject, _: float) -> Sample:
        began = time.monotonic()
        started = launch(plan.place, directories[row.name])
        meter = Meter.start(plan.place, started)
        try:
            ready_at, push_at = asyncio.run(_served(started, has_objects=directories[row.name] is not empty))
            times = {"ready_s": ready_at - began, "push_s": push_at - began}
            return times | meter.read(1) | {"rss": started.rss_bytes()}
        finally:
            plan.place.stop(list(started.processes))

    subjects = [Subject(name, 0, []) for name in directories]
    return plan.in_turns(Sheet("writes", "from the start to the first push", START), subjects, measure)


async def _served(started: Plane, *, has_objects: bool) -> tuple[float, float]:
    """When /healthz was answered 200, and when a sidecar had its first push."""
    async with asyncio.timeout(START_S):
        return await asyncio.gather(_healthy(started), _pushed(started, has_objects=has_objects))


async def _healthy(started: Plane) -> float:
    while True:
        started.processes[0].check()
        connection = HTTPConnection("127.0.0.1", started.port, timeout=START_S)
        try:
            await asyncio.to_thread(connection.request, "GET", "/healthz")
            if connection.getresponse().status == 200:
                return time.monotonic()
        except (OSError, HTTPException):
            await asyncio.sleep(RETRY_S)
        finally:
            connection.close()


async def _pushed(started: Plane, *, has_objects: bool) -> float:
    loop = asyncio.get_running_loop()
    while True:
        stream = First(has_objects=has_objects)
        try:
            transport, _ = await loop.create_connection(lambda stream=stream: stream, "127.0.0.1", started.push)
        except OSError:
            await asyncio.sleep(RETRY_S)
            continue
        try:
            return await stream.pushed
        finally:
            transport.abort()


class First(LightStream):
    """Waits for its first push, which says what a Service is, or that there is none."""

    def __init__(self, *, has_objects: bool) -> None:
        super().__init__(0, catalog.names_of(SERVICES - 1))
        self.pushed: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._part = b'"removed":[]' if has_objects else b'"updated":[]'

    def _frame(self) -> tuple[int, bytes] | None:
        frame = super()._frame()
        if frame is not None and frame[0] == 0x1 and not self.pushed.done():
            if self._part in frame[1]:
                self.pushed.set_result(time.monotonic())
            else:
                self.pushed.set_exception(StartError(f"the first push was {frame[1][:500]!r}"))
        return frame

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.pushed.done():
            self.pushed.set_exception(StartError(f"the stream was lost: {exc}"))
