"""The control plane's measurements with a Kubernetes API server: its start, events and their cost, lists anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import linear_regression
from tempfile import mkdtemp
from typing import Any
from urllib.error import HTTPError

import msgspec

from tests.bench import cluster, recorded, sidecars
from tests.bench.acks import delays
from tests.bench.catalog import PORT_KINDS
from tests.bench.child import Child
from tests.bench.cluster import Asked, Change, Relist, Replay, Storm
from tests.bench.load import Meter, Sample
from tests.bench.pace import percentile
from tests.bench.place import POLL_S, Place
from tests.bench.plan import Plan
from tests.bench.plane import Plane, await_streams, launch
from tests.bench.process import StartError
from tests.bench.report import FAILED, OTHERS, Column, Sheet, grouped
from tests.bench.sidecars import Noted, Watch
from tests.bench.subjects import Subject

SIZES = (1_000, 10_000)
"""Services; the last size is what the aims are for."""
ENDPOINTS = 10
"""Of each Service, a Pod behind each, every second one with a sidecar."""
STREAMS = 1_000
FOLLOW = 20
"""Services that each sidecar follows."""
SPREAD = 1_000
"""Services that are followed at all."""
WATCHED = [0, 1, 10, 100, 1_000]
"""Followers of the first Services, by which the cost of an event is told."""
STORM_RATE = 200
STORM_S = 30.0
"""Of all rounds together."""
COST_RATE = 10
"""Far enough apart that each event is pushed by itself."""
REPLAYED = 20
"""So many times over."""
IDLE_S = 2.0
START_S = 90.0
ACK_S = 10.0
"""So long may the last Acks take to come."""
LIST_S = 60.0

AIM_READY_S = 30.0
AIM_RSS = 600e6
AIM_BASE_MS = 2.0
AIM_FOLLOWER_MS = 0.030
AIM_ACK_S = 1.0

CPU = Column("cpu_us", "CPU ms/event", 2, 1e-3, spread=True)
AIM_CPU = Column("aim_us", "aim ms", 2, 1e-3)
RSS = Column("rss", "RSS MB", scale=1e-6, worst=True)
PEAK = Column("peak", "peak MB", scale=1e-6, worst=True)
P50 = Column("p50_s", "event to Ack: p50 ms", 1, 1e3)
P99 = Column("p99_s", "p99 ms", 1, 1e3, spread=True)
EVENTS = Column("events", "events")
START = [
    Column("ready_s", "ready after s", 1, spread=True),
    Column("asked_s", "from the first request s", 1),
    Column("aim_ready_s", "aim s"),
    Column("cpu_us", "CPU s", 2, 1e-6),
    OTHERS,
    RSS,
    PEAK,
    Column("aim_rss", "aim MB", scale=1e-6),
]
STORM = [
    P50,
    P99,
    Column("max_s", "max ms", 1, 1e3, worst=True),
    Column("aim_s", "aim p99 ms", scale=1e3),
    CPU,
    AIM_CPU,
    Column("acks", "Acks/event", 1),
    EVENTS,
    Column("idle", "idle core busy %", 1, 100),
    OTHERS,
    RSS,
    PEAK,
    FAILED,
]
COST = [
    CPU,
    AIM_CPU,
    P50,
    P99,
    EVENTS,
    Column("idle", "idle core busy %", 1, 100),
    OTHERS,
    FAILED,
]
FIT = [
    Column("base_us", "CPU ms/event without followers", 2, 1e-3, spread=True),
    Column("aim_base_us", "aim ms", 2, 1e-3),
    Column("slope_us", "CPU us/follower", 1, spread=True),
    Column("aim_slope_us", "aim us", 1),
]
RELIST = [
    Column("listed_s", "listed after s", 1, spread=True),
    Column("cpu_us", "CPU s", 2, 1e-6),
    Column("held_s", "longest answer to a ping ms", 1, 1e3, worst=True),
    Column("late_s", "an event meanwhile, to Ack: ms", 1, 1e3, worst=True),
    Column("pushes", "other pushes", worst=True),
    OTHERS,
    RSS,
    PEAK,
    FAILED,
]
REPLAY = [
    Column("rate", "events/s", spread=True),
    Column("cpu_us", "CPU us/event", spread=True),
    EVENTS,
    OTHERS,
    RSS,
]


def discovery(plan: Plan) -> Iterator[Sheet]:
    """A cluster is read from its beginning; then its events are followed."""
    if "meshcontrol" not in plan.names:
        return
    with ExitStack() as stack:
        clusters = {_sized(size): stack.enter_context(_cluster(plan.place, size)) for size in SIZES}
        yield _start(plan, clusters)
    with _cluster(plan.place, SIZES[-1]) as generated:
        directory = Path(mkdtemp(prefix="data-", dir=plan.place.directory))
        subject = launch(plan.place, directory, kubeconfig=generated.kubeconfig)
        try:
            _await_ready(subject)
            with _followed(plan.place, subject, generated) as mesh:
                yield _storm(plan, mesh)
                cost = _cost(plan, mesh)
                yield cost
                yield _fit(cost)
                yield _relist(plan, mesh)
                if recorded.DIRECTORY.is_dir():
                    yield _replay(plan, mesh)
                else:
                    plan.notice("the replay is left out: the recordings are not beside the checkout")
        finally:
            plan.place.stop(list(subject.processes))


@dataclass(frozen=True)
class _Cluster:
    """A generated cluster's process."""

    child: Child
    services: int
    kubeconfig: Path

    def ask(self, order: Any, answer: Any = Any) -> Any:
        return msgspec.json.decode(self.child.ask(order), type=answer)


@dataclass(frozen=True)
class _Mesh:
    """A control plane that follows a cluster and is followed by sidecars."""

    plane: Plane
    cluster: _Cluster
    sidecars: Child
    followers: dict[int, list[int]]
    """By Service."""

    def watch(self, *, is_pinging: bool = False) -> Noted:
        return msgspec.json.decode(self.sidecars.ask(Watch(is_pinging)), type=Noted)

    def storm(self, order: Storm) -> tuple[list[Change], list[float], int]:
        """Changes, the sorted times to their Acks, and how many Acks did not come."""
        acks = self.watch().acks
        acks.clear()
        changes = self.cluster.ask(order, list[Change])
        return changes, *self.acknowledged(changes)

    def acknowledged(self, changes: list[Change]) -> tuple[list[float], int]:
        """Wait until they are; the sorted times, and how many are missing then."""
        acks = self.watch().acks
        deadline = time.monotonic() + ACK_S
        while True:
            times, missing = delays(changes, acks, self.followers)
            if not missing or time.monotonic() > deadline:
                return times, missing
            time.sleep(POLL_S)
            acks += self.watch().acks


@contextmanager
def _cluster(place: Place, services: int) -> Iterator[_Cluster]:
    kubeconfig = place.directory / f"kubeconfig-{services}"
    with Child(place, "tests.bench.cluster") as child:
        child.ask(cluster.Setup(services, services * ENDPOINTS, str(kubeconfig)))
        yield _Cluster(child, services, kubeconfig)


@contextmanager
def _followed(place: Place, plane: Plane, generated: _Cluster) -> Iterator[_Mesh]:
    services = generated.services
    setup = sidecars.Setup(
        push=plane.push,
        services=services,
        endpoints=services * ENDPOINTS,
        streams=STREAMS,
        spread=min(SPREAD, services),
        follow=FOLLOW,
        watched=WATCHED,
    )
    followers: dict[int, list[int]] = {}
    for stream in range(STREAMS):
        for service in sidecars.follow(stream, setup):
            followers.setdefault(service, []).append(stream)
    with Child(place, "tests.bench.sidecars") as child:
        child.ask(setup)
        await_streams(plane, FOLLOW * STREAMS * (1 + len(PORT_KINDS)))
        yield _Mesh(plane, generated, child, followers)


def _start(plan: Plan, clusters: dict[str, _Cluster]) -> Sheet:
    def measure(row: Subject, _: float) -> Sample:
        found = clusters[row.name]
        directory = Path(mkdtemp(prefix="data-", dir=plan.place.directory))
        began = time.monotonic()
        started = launch(plan.place, directory, kubeconfig=found.kubeconfig)
        meter = Meter.start(plan.place, started)
        try:
            ready_at = _await_ready(started)
            asked_at = found.ask(Asked(began), float)
            sample = meter.read(1) | {"ready_s": ready_at - began, "asked_s": ready_at - asked_at}
            aims = {"aim_ready_s": AIM_READY_S, "aim_rss": AIM_RSS} if found.services == SIZES[-1] else {}
            return sample | aims | {"rss": started.rss_bytes(), "peak": started.peak_rss_bytes()}
        finally:
            plan.place.stop(list(started.processes))

    sheet = Sheet("discovery", f"from the start to ready, {ENDPOINTS} endpoints and Pods for each Service", START)
    return plan.in_turns(sheet, [Subject(name, 0, []) for name in clusters], measure, is_cold=True)


def _storm(plan: Plan, mesh: _Mesh) -> Sheet:
    services, spread = mesh.cluster.services, min(SPREAD, mesh.cluster.services)
    rows = {f"of all {grouped(services)} Services": (0, services), "of those followed": (len(WATCHED), spread)}
    idle = _idle(plan, mesh.plane)

    def measure(row: Subject, seconds: float) -> Sample:
        first, end = rows[row.name]
        lasts_s = STORM_S / plan.rounds if seconds >= plan.seconds else seconds
        mesh.plane.forget_peak()
        meter = Meter.start(plan.place, mesh.plane)
        changes, times, missing = mesh.storm(Storm(first, end, STORM_RATE, lasts_s))
        sample = _cpu(meter.read(len(changes)), idle, len(times) / len(changes))
        memory = {"rss": mesh.plane.rss_bytes(), "peak": mesh.plane.peak_rss_bytes()}
        return sample | _times(times, missing) | memory | {"events": len(changes), "aim_s": AIM_ACK_S}

    title = f"{STORM_RATE} EndpointSlice events/s, {_mesh_of(services)}"
    return plan.in_turns(Sheet("discovery", title, STORM), [replace(mesh.plane, name=name) for name in rows], measure)


def _cost(plan: Plan, mesh: _Mesh) -> Sheet:
    rows = {f"{grouped(count)} follower{'' if count == 1 else 's'}": k for k, count in enumerate(WATCHED)}
    idle = _idle(plan, mesh.plane)

    def measure(row: Subject, seconds: float) -> Sample:
        k = rows[row.name]
        meter = Meter.start(plan.place, mesh.plane)
        changes, times, missing = mesh.storm(Storm(k, k + 1, COST_RATE, seconds))
        sample = _cpu(meter.read(len(changes)), idle, WATCHED[k])
        return sample | _times(times, missing) | {"events": len(changes), "followers": WATCHED[k]}

    title = f"an EndpointSlice event by the followers of its Service, {_mesh_of(mesh.cluster.services)}"
    return plan.in_turns(Sheet("discovery", title, COST), [replace(mesh.plane, name=name) for name in rows], measure)


def _fit(cost: Sheet) -> Sheet:
    """The cost as a straight line, round by round."""
    sheet = Sheet("discovery", "the same by least squares: base + slope x followers", FIT)
    for samples in zip(*cost.samples.values(), strict=True):
        line = linear_regression([sample["followers"] for sample in samples], [sample["cpu_us"] for sample in samples])
        aims = {"aim_base_us": AIM_BASE_MS * 1e3, "aim_slope_us": AIM_FOLLOWER_MS * 1e3}
        sheet.add("meshcontrol", {"base_us": line.intercept, "slope_us": line.slope} | aims)
    return sheet


def _relist(plan: Plan, mesh: _Mesh) -> Sheet:
    watched = len(WATCHED)

    def measure(_: Subject, __: float) -> Sample:
        plane = mesh.plane
        plane.forget_peak()
        time.sleep(IDLE_S)
        mesh.watch(is_pinging=True)
        objects, events, pushed = (plane.figure(f"meshcontrol_{name}") for name in _COUNTED)
        meter = Meter.start(plan.place, plane)
        began = time.monotonic()
        mesh.cluster.ask(Relist())
        changes = mesh.cluster.ask(Storm(watched, watched + 1, STORM_RATE, 1 / STORM_RATE), list[Change])
        _await_events(plane, events + objects)
        listed_s = time.monotonic() - began
        sample = meter.read(1)
        noted = mesh.watch(is_pinging=False)
        times, missing = delays(changes, noted.acks, mesh.followers)
        late = {"late_s": times[-1] if times else 0.0, "failed": missing, "held_s": noted.longest_s}
        others = plane.figure("meshcontrol_pushes_total") - pushed - len(times)
        memory = {"rss": plane.rss_bytes(), "peak": plane.peak_rss_bytes()}
        return sample | late | memory | {"listed_s": listed_s, "pushes": others}

    sheet = Sheet("discovery", f"everything is listed anew (410), {_mesh_of(mesh.cluster.services)}", RELIST)
    return plan.in_turns(sheet, [mesh.plane], measure, is_cold=True)


def _replay(plan: Plan, mesh: _Mesh) -> Sheet:
    def measure(_: Subject, seconds: float) -> Sample:
        times = REPLAYED if seconds >= plan.seconds else 1
        before = mesh.plane.figure("meshcontrol_kube_events_total")
        meter = Meter.start(plan.place, mesh.plane)
        began = time.monotonic()
        events = mesh.cluster.ask(Replay(times), int)
        _await_events(mesh.plane, before + events)
        elapsed_s = time.monotonic() - began
        return meter.read(events) | {"events": events, "rate": events / elapsed_s, "rss": mesh.plane.rss_bytes()}

    sheet = Sheet("discovery", "recorded watches replayed, as fast as they can be told", REPLAY)
    return plan.in_turns(sheet, [mesh.plane], measure)


_COUNTED = ("objects", "kube_events_total", "pushes_total")


def _sized(services: int) -> str:
    return f"{grouped(services)} Services, {grouped(services * ENDPOINTS)} endpoints"


def _mesh_of(services: int) -> str:
    return f"{grouped(STREAMS)} streams that follow {FOLLOW} Services each, {_sized(services)}"


def _await_ready(started: Plane) -> float:
    """When /readyz was answered 200."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        started.processes[0].check()
        try:
            answered_at = started.ready_at()
        except HTTPError as error:
            error.close()
        except OSError:
            pass
        else:
            return answered_at
        time.sleep(POLL_S)
    raise StartError(f"not ready within {START_S:.0f} s\n{started.processes[0].log_tail()}")


def _await_events(plane: Plane, count: float) -> None:
    """Return when so many events were taken."""
    deadline = time.monotonic() + LIST_S
    while plane.figure("meshcontrol_kube_events_total") < count:
        if time.monotonic() > deadline:
            raise StartError(f"not all events are taken within {LIST_S:.0f} s")
        time.sleep(0.1)


def _idle(plan: Plan, plane: Plane) -> float:
    """The share of a core that it uses while nothing changes: pings and deadlines of a thousand streams."""
    meter = Meter.start(plan.place, plane)
    time.sleep(IDLE_S)
    return meter.read(1)["busy"]


def _cpu(read: Sample, idle: float, followers: float) -> Sample:
    """Without what the streams cost while nothing changes; with the aim."""
    cost_us = read["cpu_us"] * (1 - idle / read["busy"]) if read["busy"] else 0.0
    aim_us = (AIM_BASE_MS + AIM_FOLLOWER_MS * followers) * 1e3
    return read | {"cpu_us": cost_us, "aim_us": aim_us, "idle": idle, "acks": followers}


def _times(ordered: list[float], missing: int) -> Sample:
    found = {"p50_s": percentile(ordered, 50), "p99_s": percentile(ordered, 99), "max_s": percentile(ordered, 100)}
    return (found if ordered else {}) | {"failed": missing}
