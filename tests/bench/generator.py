"""meshload's generator: its pace, its punctuality, its percentiles beside other generators', its memory.

Its own core is the load's; what it calls, and everything else of the bench, is on the other one.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar

import psutil

from loadtest.process import ChildError
from loadtest.results.histogram import Histogram
from loadtest.results.model import Percentiles
from tests.bench import load, meshload, rivals
from tests.bench.meshload import Address, Loaded, lasting
from tests.bench.place import ROOT, Place, free_port, nginx_command, wait_ready, write_config
from tests.bench.plan import Plan
from tests.bench.process import StartError
from tests.bench.report import BUSY, FAILED, Column, Sample, Sheet, grouped
from tests.bench.share import Share
from tests.bench.subjects import Subject
from tests.bench.tools import WRK2

T = TypeVar("T")

USUAL_S = 4.0
"""The seconds of a measurement that the lengths below belong to; other seconds make them shorter or longer alike."""
OPEN_S = 10.0
OPEN_RATE = 5_000
ARRIVALS = ("uniform", "poisson")
COMPARED_S = 30.0
COMPARED_RATE = 1_000
SERVICE_MS = 50
MILLIONS = 5
HOUR_S = 3600.0

AIM_RPS = 40_000
AIM_LATE_US = 1_000
AIM_OFF = 0.05

OURS = "meshload"
OTHERS = Column("others", "by others %", 1, 100, worst=True)
"""Whatever else ran on the generator's core."""
TARGET = Column("target", "target's core busy %", scale=100)
"""By whomever: the target, the bench that reads reports, others."""
PACE = [
    Column("rps", "requests/s", spread=True),
    Column("aim_rps", "aim"),
    Column("cpu_us", "generator's CPU us/request", 1),
    BUSY,
    OTHERS,
    TARGET,
    Column("p50_us", "p50 us"),
    Column("p99_us", "p99 us"),
    FAILED,
]
LATE = [
    Column("late_p50_us", "late by: p50 us"),
    Column("late_p99_us", "p99 us"),
    Column("late_p99.9_us", "p99.9 us", spread=True),
    Column("aim_late_us", "aim us"),
    Column("late_max_us", "max us", worst=True),
    Column("p50_us", "latency: p50 us"),
    Column("p99_us", "p99 us"),
    Column("rate", "requests/s"),
    BUSY,
    OTHERS,
    TARGET,
    FAILED,
]
TOLD = [
    *(Column(rivals.name(level), f"p{level:g} ms", 2, 1e-3, spread=level > 90) for level in rivals.LEVELS),
    Column("late_p99.9_us", "of it its own lateness p99.9 ms", 2, 1e-3),
    Column("requests", "requests"),
    BUSY,
    OTHERS,
    TARGET,
    FAILED,
]
RATIO = [
    *(Column(rivals.name(level), f"p{level:g}", 3, spread=True) for level in rivals.LEVELS),
    Column("aim_least", "aim: at least", 2),
    Column("aim_most", "at most", 2),
]
_LEVELS = [rivals.name(level) for level in rivals.LEVELS]
MEMORY = [Column("rss", "RSS MB", 1, 1e-6), Column("grown", "more than first MB", 1, 1e-6)]


def pace(plan: Plan) -> Iterator[Sheet]:
    """As many requests as 32 callers can make of one process."""
    with _aside(plan.place), _target(plan.place) as port:

        def measure(row: Subject, seconds: float) -> Sample:
            if row.name != OURS:
                return rivals.wrk(plan.place, f"http://127.0.0.1:{port}/", seconds)
            phases = [
                {"for": lasting(plan.warm_s), "callers": load.CONNECTIONS, "measured": False},
                {"for": lasting(seconds), "callers": load.CONNECTIONS},
            ]
            loaded, sample = _loaded(plan.place, {"mode": "closed", "phases": phases}, ("127.0.0.1", port))
            summary = loaded.sums.summary()
            cpu_us = loaded.cpu_s / max(loaded.sent, 1) * 1e6
            found = {"rps": summary.per_second, "aim_rps": AIM_RPS, "cpu_us": cpu_us}
            return sample | _latency(summary.latency) | found

        sheet = Sheet("generator", f"closed loop, {load.CONNECTIONS} callers, one process, nginx", PACE)
        yield plan.in_turns(sheet, _rows(OURS, "wrk"), measure, is_cold=True)


def lateness(plan: Plan) -> Iterator[Sheet]:
    """How late requests of an open loop leave, beside what a timer on the same core is late by."""
    alone, awake = "a timer alone", f"{OURS}, busy_poll"
    with _aside(plan.place), _target(plan.place) as port:
        for arrivals in ARRIVALS:

            def measure(row: Subject, seconds: float, arrivals: str = arrivals) -> Sample:
                lasts_s = scaled(OPEN_S, seconds)
                phases = [{"for": lasting(lasts_s), "rate": f"{OPEN_RATE}/s"}]
                wanted = {"arrivals": arrivals, "busy_poll": row.name == awake, "phases": phases}
                if row.name == alone:
                    return _floor(plan.place, wanted)
                loaded, sample = _loaded(plan.place, wanted, ("127.0.0.1", port))
                found = _late(loaded.sums.lateness()) | _latency(loaded.sums.summary().latency)
                return sample | found | {"rate": loaded.sent / lasts_s, "aim_late_us": AIM_LATE_US}

            sheet = Sheet("generator", f"open loop, {grouped(OPEN_RATE)} requests/s, {arrivals}, nginx", LATE)
            yield plan.in_turns(sheet, _rows(awake, OURS, alone), measure, is_cold=True)


def percentiles(plan: Plan) -> Iterator[Sheet]:
    """The same load on the same target by other generators: do they tell the same percentiles?

    Before each the origin is begun anew, with a seed for each round: what it draws for the nth request is the same for
    all, so that they differ by what they are, and little by chance. What wrk2 is late by itself, its timer being one
    of milliseconds, is in its latencies; those from when it sent are shown as well.
    """
    known = [name for name in ("h2load", "wrk2") if name in plan.place.tools]
    if "h2load" not in known:
        plan.notice("h2load is left out: it is not installed")
    if "wrk2" not in known:
        plan.notice(f"wrk2 is left out: it is neither on PATH nor named by {WRK2}")
    settle_s = rivals.WRK2_SETTLE_S if "wrk2" in known else plan.warm_s
    seeds = {name: iter(range(1, plan.rounds + 1)) for name in (OURS, *known)}

    def measure(row: Subject, seconds: float) -> Sample:
        lasts_s = scaled(COMPARED_S, seconds)
        return _finished(_compared(plan.place, row.name, next(seeds[row.name]), settle_s, lasts_s))

    title = f"open loop, {grouped(COMPARED_RATE)} requests/s, uniform, a target that takes {SERVICE_MS} ms, exponential"
    with _aside(plan.place):
        sheet = plan.in_turns(Sheet("generator", title, TOLD), _rows(OURS, *known), measure, is_cold=True)
    for sample in sheet.samples.get("wrk2", []):
        sent = {key: sample[rivals.SENT + key] for key in _LEVELS}
        sheet.add("wrk2, from when it sent", sent)
    yield sheet
    yield ratios(sheet)


def ratios(sheet: Sheet) -> Sheet:
    """Ours to each other one's percentiles, round by round."""
    found = Sheet("generator", f"the same: {OURS}'s percentile to the other's, round by round", RATIO)
    for name, samples in sheet.samples.items():
        for ours, other in zip(sheet.samples[OURS], samples, strict=True) if name != OURS else ():
            aims = {"aim_least": 1 - AIM_OFF, "aim_most": 1 + AIM_OFF}
            found.add(f"{OURS} / {name}", {key: ours[key] / other[key] for key in _LEVELS if other[key]} | aims)
    return found


def memory(plan: Plan) -> Iterator[Sheet]:
    """Whether it stays flat: once, however many rounds."""
    millions = max(1, round(scaled(MILLIONS, plan.seconds)))
    title = f"memory of a generator process, closed loop, {load.CONNECTIONS} callers"
    with _aside(plan.place), _target(plan.place) as port:
        yield _grown(Sheet("generator", title, MEMORY), _by_million(plan.place, ("127.0.0.1", port), millions))
    told = _python(plan.place, "tests.bench.hour", str(OPEN_RATE), f"{HOUR_S:.0f}")
    by_minute = {f"{int(second) // 60} min": rss for second, rss in told.items()}
    title = f"memory of a run's parent, fed four reports of {grouped(OPEN_RATE)} requests/s every second"
    yield _grown(Sheet("generator", title, MEMORY), by_minute)


def _by_million(place: Place, target: Address, millions: int) -> dict[str, int]:
    found: dict[str, int] = {}

    def watch(loaded: Loaded) -> bool:
        if loaded.known >= len(found) * 1e6:
            name = f"{len(found)} million requests" if found else "ready"
            found[name] = psutil.Process(loaded.pid).memory_info().rss
        return len(found) > millions

    phases = [{"for": lasting(HOUR_S), "callers": load.CONNECTIONS}]
    _loaded(place, {"mode": "closed", "phases": phases}, target, watch)
    return found


def _grown(sheet: Sheet, by_name: Mapping[str, float]) -> Sheet:
    """`grown` is since the second row: what a process needs once is there by then."""
    _, second, *_ = by_name.values()
    for n, (name, rss) in enumerate(by_name.items()):
        grown: Sample = {"grown": rss - second} if n > 1 else {}
        sheet.add(name, {"rss": rss} | grown)
    return sheet


def scaled(usual: float, seconds: float) -> float:
    """A length or count that is `usual` when a measurement takes USUAL_S."""
    return usual * seconds / USUAL_S


async def _compared(place: Place, name: str, seed: int, settle_s: float, seconds: float) -> Sample:
    rate = f"{COMPARED_RATE}/s"
    phases = [
        {"for": lasting(settle_s), "rate": rate, "measured": False},
        {"for": lasting(seconds), "rate": rate},
    ]
    wanted = {"connections": rivals.CONNECTIONS, "phases": phases}
    text = meshload.scenario(wanted, seed, {"service_time": {"exponential": f"{SERVICE_MS}ms"}})
    async with meshload.origin(text, place.cores.proxy) as (host, port):
        if name != OURS:
            other = rivals.h2load if name == "h2load" else rivals.wrk2
            url = f"http://{host}:{port}/"
            return await asyncio.to_thread(other, place, url, COMPARED_RATE, settle_s, seconds)
        loaded = await meshload.load(text, (host, port), place.cores)
        summary = loaded.sums.summary()
        found = _late(loaded.sums.lateness()) | _latency(summary.latency)
        return loaded.used | found | {"requests": summary.requests, "failed": loaded.failed}


def _loaded(
    place: Place, wanted: dict[str, Any], target: Address, watch: meshload.Watch = lambda _: False
) -> tuple[Loaded, Sample]:
    loaded = _finished(meshload.load(meshload.scenario(wanted), target, place.cores, watch))
    return loaded, loaded.used | {"failed": loaded.failed}


def _finished(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except ChildError as error:
        raise StartError(str(error)) from None


def _floor(place: Place, wanted: dict[str, Any]) -> Sample:
    share = Share(place.cores)
    told = _python(place, "tests.bench.floor", text=meshload.scenario(wanted))
    late = {int(us): count for us, count in told["late"].items()}
    return _late(Histogram(late).percentiles()) | share.read(told["cpu_s"])


def _python(place: Place, module: str, *arguments: str, text: str = "") -> Any:
    """What a module's process on the load's core prints, from JSON."""
    command = ["taskset", "-c", str(place.cores.load), sys.executable, "-m", module, *arguments]
    outcome = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    if outcome.returncode:
        raise StartError(f"{module} ended with {outcome.returncode}")
    return json.loads(outcome.stdout)


def _late(found: Percentiles) -> Sample:
    return {
        "late_p50_us": found.p50,
        "late_p99_us": found.p99,
        "late_p99.9_us": found.p99_9,
        "late_max_us": found.max,
    }


def _latency(found: Percentiles) -> Sample:
    return {"p50_us": found.p50, "p90_us": found.p90, "p99_us": found.p99, "p99.9_us": found.p99_9}


def _rows(*names: str) -> list[Subject]:
    return [Subject(name, 0, []) for name in names]


@contextmanager
def _aside(place: Place) -> Iterator[None]:
    """The bench itself, which reads the reports, leaves the generator's core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {place.cores.proxy})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _target(place: Place) -> Iterator[int]:
    """An nginx on the core that the generator leaves alone; its port."""
    apart = replace(place, directory=Path(mkdtemp(prefix="target-", dir=place.directory)))
    port = free_port()
    config = write_config("upstream-nginx.conf", apart.directory / "nginx.conf", LISTEN=port)
    process = apart.start("target", nginx_command(apart, config))
    try:
        wait_ready(port, [process])
        yield port
    finally:
        place.stop([process])
