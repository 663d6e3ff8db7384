"""The measurements: each suite starts its subjects, measures them in turns and yields its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from tests.bench.control import push, writing
from tests.bench.discovery import discovery
from tests.bench.generator import lateness, memory, pace, percentiles
from tests.bench.load import Sample, closed_loop, open_loop, transfer
from tests.bench.place import Place, start_origin
from tests.bench.plan import Plan
from tests.bench.pushes import pushes
from tests.bench.report import BUSY, FAILED, OTHERS, Column, Sheet, grouped
from tests.bench.subjects import PAIRS, PLAIN, Subject, envoy, meshproxy

RATES = (1_000, 5_000, 10_000)
SERVICES = 1_000
BODY_BYTES = 1 << 30

VARIANTS = {
    "same": "every request alike",
    "unique": "one field differs in every request",
    "fields": "ten typical fields, one of them unique",
}
CLOSED_LOOP = [
    Column("rps", "requests/s", spread=True, ratio=True),
    Column("cpu_us", "CPU us/request", 1, ratio=True),
    BUSY,
    OTHERS,
    Column("rss", "RSS MB", scale=1e-6, worst=True),
    FAILED,
]
OPEN_LOOP = [
    Column("p50_us", "p50 us", spread=True, ratio=True),
    Column("p90_us", "p90 us"),
    Column("p99_us", "p99 us", spread=True, ratio=True),
    Column("p99.9_us", "p99.9 us"),
    Column("cpu_us", "CPU us/request", 1),
    Column("rps", "answered/s"),
    OTHERS,
    FAILED,
]
BODIES = [
    Column("bytes_s", "MB/s", scale=1e-6, spread=True, ratio=True),
    BUSY,
    OTHERS,
    Column("rss", "RSS at start MB", 1, scale=1e-6),
    Column("peak", "RSS peak MB", 1, scale=1e-6, worst=True),
    FAILED,
]


def throughput(plan: Plan) -> Iterator[Sheet]:
    """One sidecar, closed loop, three kinds of requests."""
    with plan.started(PLAIN) as subjects:
        yield from _closed_loops(plan, "throughput", "HTTP/1.1", subjects, VARIANTS)


def mtls(plan: Plan) -> Iterator[Sheet]:
    """A client's sidecar and a server's, mutual TLS between them, both on one core."""
    if "openssl" not in plan.place.tools:
        plan.notice("mtls is left out: openssl is not installed")
        return
    with plan.started(PAIRS) as subjects:
        yield from _closed_loops(plan, "mtls", "mTLS pair", subjects, ["same", "fields"])


def latency(plan: Plan) -> Iterator[Sheet]:
    """One sidecar, open loop at fixed rates, counted from the intended start of every request."""
    with plan.started(PLAIN) as subjects:
        for rate in RATES:

            def measure(subject: Subject, seconds: float, rate: int = rate) -> Sample:
                return open_loop(plan.place, subject, seconds, rate, plan.warm_s)

            sheet = Sheet("latency", f"HTTP/1.1, open loop, {grouped(rate)} requests/s over 32 connections", OPEN_LOOP)
            yield plan.in_turns(sheet, subjects, measure)


def services(plan: Plan) -> Iterator[Sheet]:
    """What a thousand services cost: in the configuration, and when every one of them is called in turn."""
    for name, starter in (("envoy", envoy), ("meshproxy", meshproxy)):
        one, many = f"{name}, 1 service", f"{name}, {grouped(SERVICES)} services"
        with (
            plan.started({name: starter}) as alone,
            plan.started({name: partial(starter, services=SERVICES)}) as among,
            plan.started({name: partial(starter, services=SERVICES)}) as called,
        ):
            if not (alone and among and called):
                continue
            subjects = [
                replace(alone[0], name=one),
                replace(among[0], name=many),
                replace(called[0], name=f"{many}, all called"),
            ]

            def measure(subject: Subject, seconds: float) -> Sample:
                variant = ("hosts", str(SERVICES)) if subject.name.endswith("called") else ("same",)
                return _with_rss(closed_loop(plan.place, subject, seconds, *variant), subject)

            sheet = Sheet(
                "services", f"{grouped(SERVICES)} services, {name}, 32 connections", CLOSED_LOOP, baseline=one
            )
            yield plan.in_turns(sheet, subjects, measure)


def bodies(plan: Plan) -> Iterator[Sheet]:
    """One body of 1 GiB each way on one connection: how fast, and whether memory stays flat from the first one on."""
    with _origin(plan) as place, plan.started(PLAIN, place) as subjects:
        at_start = {subject.name: subject.rss_bytes() for subject in subjects}
        for subject in subjects:
            subject.forget_peak()
        for way in ("download", "upload"):

            def measure(subject: Subject, _: float, way: str = way) -> Sample:
                sample = transfer(place, subject, way, BODY_BYTES)
                if subject.processes:
                    sample |= {"rss": at_start[subject.name], "peak": subject.peak_rss_bytes()}
                return sample

            sheet = Sheet("bodies", f"1 GiB {way}, one connection", BODIES, baseline="haproxy")
            yield plan.in_turns(sheet, subjects, measure)


def _closed_loops(
    plan: Plan, suite: str, what: str, subjects: list[Subject], variants: Iterable[str]
) -> Iterator[Sheet]:
    for variant in variants:

        def measure(subject: Subject, seconds: float, variant: str = variant) -> Sample:
            return _with_rss(closed_loop(plan.place, subject, seconds, variant), subject)

        sheet = Sheet(suite, f"{what}, 32 connections, {VARIANTS[variant]}", CLOSED_LOOP)
        yield plan.in_turns(sheet, subjects, measure)


def _with_rss(sample: Sample, subject: Subject) -> Sample:
    return sample | {"rss": subject.rss_bytes()} if subject.processes else sample


@contextmanager
def _origin(plan: Plan) -> Iterator[Place]:
    """The same place with an upstream that takes and gives bodies."""
    mark = len(plan.place.processes)
    try:
        yield replace(plan.place, upstream=start_origin(plan.place))
    finally:
        plan.place.stop(plan.place.processes[mark:])


Suite = Callable[[Plan], Iterator[Sheet]]
SUITES: dict[str, Suite] = {
    "throughput": throughput,
    "latency": latency,
    "mtls": mtls,
    "services": services,
    "bodies": bodies,
    "push": push,
    "writes": writing,
    "pushes": pushes,
    "discovery": discovery,
    "generator-pace": pace,
    "generator-lateness": lateness,
    "generator-percentiles": percentiles,
    "generator-memory": memory,
}
"""A suite may be named by what stands before the dash of several."""


def named(word: str) -> list[str]:
    """The suites that a word names; none when there is no such suite."""
    return [name for name in SUITES if word in (name, name.partition("-")[0])]
