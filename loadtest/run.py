"""One run, on one page: READ FIRST.

Addresses are claimed, the origin's process begins, then the subject before it, then the generator's processes; all get
one moment to start at. While load is sent, reports are merged, changes are carried out, the subject is watched. After
the last answer what was sent is compared with what was executed, everything is ended, and the result is judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import monotonic

from loadtest.block import Block, NoBlockError
from loadtest.messages import Report
from loadtest.process import ChildError
from loadtest.report.live import Now
from loadtest.results import generator, judge, spans
from loadtest.results.ledger import Reconciler
from loadtest.results.model import SCHEMA, Generator, Ledger, Result
from loadtest.results.sums import Sums, bin_width
from loadtest.results.traffic import Traffic
from loadtest.scenario.model import Scenario
from loadtest.stage.changes import Changes
from loadtest.stage.instances import Instances
from loadtest.stage.usage import Meter
from loadtest.stage.workers import Workers
from loadtest.subjects import choice
from loadtest.subjects.subject import Place, Subject, SubjectError
from loadtest.subjects.versions import versions

_LEAD_S = 0.2
"""From the last preparation to the start: every process has the moment before it comes."""
_LOOK_S = 0.25
_LAST_WORK_S = 2.0
"""So long origins may still work on what callers have given up, before executions are compared."""
_LAST_REPORT_S = 5.0
"""Past the last request's time, a generator process that has not reported is stuck."""


@dataclass(frozen=True)
class Trial:
    """What to run: a scenario (with the text of its file) against a subject, for the nth time."""

    text: str
    scenario: Scenario
    subject: str
    round: int = 1
    pin: bool = True
    """Subjects have the last core for themselves, when there are several; generator and origin have the rest."""


class RunError(Exception):
    """The run could not be made, and there is no result. The message says why, and what to do."""


@dataclass
class _State:
    """What is gathered while a run goes on."""

    sums: Sums
    traffic: Traffic
    ledger: Reconciler
    meter: Meter = field(default_factory=Meter)
    problems: list[str] = field(default_factory=list)
    began: float = 0.0
    until_s: float = math.inf
    """When load was ended before its time."""
    most_connections: int = 0


async def run(trial: Trial, stop: asyncio.Event, watch: Callable[[Now], None]) -> Result:
    """Runs it to its end, or until `stop` is set; nothing is left running after it. RunError: nothing was sent."""
    scenario = trial.scenario
    bin_s = bin_width(scenario.duration_s)
    state = _State(Sums(scenario, bin_s), Traffic(bin_s), Reconciler(token_hex(4)))
    started = datetime.now(UTC)
    is_ours = not choice.is_address(trial.subject)
    try:
        async with _stage(trial, state, is_ours) as (subject, instances, workers):
            if stop.is_set():
                raise RunError("ended before it began")
            await _send(trial, state, stop, watch, subject, instances, workers)
            ledger = await _compare(state, instances, is_ours)
            interrupted = stop.is_set()
            return _result(trial, state, started, subject, instances, workers, ledger, interrupted)
    except (ChildError, SubjectError, NoBlockError) as error:
        raise RunError(str(error)) from None


@contextlib.asynccontextmanager
async def _stage(trial: Trial, state: _State, is_ours: bool) -> AsyncIterator[tuple[Subject, Instances, Workers]]:
    """Everything that has to run, ready to start; all of it is gone afterwards."""
    ours, theirs = _cores(trial.pin)
    scenario = trial.scenario
    async with contextlib.AsyncExitStack() as stack:
        block = Block()
        stack.callback(block.release)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meshload-")))
        workers = Workers(lambda worker, report: _merge(state, workers, worker, report))
        stack.push_async_callback(workers.end)
        await workers.begin(scenario.load.processes, ours)
        instances = Instances(scenario, block, state.traffic.add)
        stack.push_async_callback(instances.end)
        if is_ours:
            await instances.begin(trial.text, state.ledger.run, state.sums.bin_s, ours)
        subject = choice.make(trial.subject, Place(folder, block, theirs))
        stack.push_async_callback(subject.stop)
        origins = instances.now if is_ours else dict.fromkeys(scenario.origins, ())
        entries = await subject.start(origins, scenario.policy)
        await workers.prepare(trial.text, state.ledger.run, entries, state.sums.bin_s)
        yield subject, instances, workers


def _cores(pin: bool) -> tuple[Sequence[int], Sequence[int]]:
    """For generator and origin, for the subject."""
    allowed = sorted(os.sched_getaffinity(0))
    if not pin or len(allowed) < 2:
        return (), ()
    return allowed[:-1], allowed[-1:]


def _merge(state: _State, workers: Workers, worker: int, report: Report) -> None:
    for cell in report.cells:
        state.sums.add(cell)
    state.sums.add_lateness(report.lateness)
    for outcomes in report.chunks:
        state.ledger.saw(worker, outcomes, monotonic())
    connections = sum(each.open_connections for each in workers.latest.values())
    state.most_connections = max(state.most_connections, connections)


async def _send(
    trial: Trial,
    state: _State,
    stop: asyncio.Event,
    watch: Callable[[Now], None],
    subject: Subject,
    instances: Instances,
    workers: Workers,
) -> None:
    """Load from its first request to its last answer."""
    scenario = trial.scenario
    state.meter.look(subject.children())
    state.began = monotonic() + _LEAD_S
    is_ours = bool(instances.addresses)
    workers.start(state.began)
    if is_ours:
        instances.start(state.began)
    work = asyncio.create_task(workers.work())
    changes = asyncio.create_task(_change(scenario, state, subject, instances, workers))
    stopping = asyncio.create_task(stop.wait())
    last = state.began + scenario.duration_s + scenario.load.timeout + _LAST_REPORT_S
    told_to_stop = False
    try:
        while not work.done():
            await asyncio.wait(
                {work} if told_to_stop else {work, stopping}, timeout=_LOOK_S, return_when="FIRST_COMPLETED"
            )
            now = monotonic()
            state.meter.look(subject.children())
            _notice(state, subject)
            if is_ours and (due := state.ledger.due(now)):
                state.ledger.took(due, await instances.take(due))
            watch(_now(scenario, state, workers, now))
            if stop.is_set() and not told_to_stop:
                told_to_stop = True
                state.until_s = now - state.began
                workers.stop()
                last = min(last, now + _LAST_REPORT_S)
            if now > last:
                state.problems.append("the generator did not end in time; what it had reported until then is shown")
                break
        if work.done():
            _gather(work, state)
    finally:
        for task in (work, changes, stopping):
            task.cancel()
        await asyncio.wait({work, changes, stopping})


def _gather(work: asyncio.Task[None], state: _State) -> None:
    """A generator process that ended before its time leaves a result with a problem, not none."""
    error = work.exception()
    if isinstance(error, BaseExceptionGroup):
        state.problems.extend(str(each) for each in error.exceptions)
    elif error is not None:
        state.problems.append(str(error))


async def _change(scenario: Scenario, state: _State, subject: Subject, instances: Instances, workers: Workers) -> None:
    if not instances.addresses:
        return
    try:
        await Changes(scenario, subject, instances, workers).carry_out(state.began)
    except* (ChildError, SubjectError, NoBlockError) as group:
        state.problems.extend(f"a change failed: {error}" for error in group.exceptions)


def _notice(state: _State, subject: Subject) -> None:
    """A subject's process that ended by itself is a problem of the run, told once."""
    for child in subject.children():
        if not child.is_running:
            problem = f"{child.name} ended by itself (status {child.returncode}):\n{child.last_words()}"
            if problem not in state.problems:
                state.problems.append(problem)


def _now(scenario: Scenario, state: _State, workers: Workers, now: float) -> Now:
    elapsed_s = now - state.began
    live = state.sums.live(elapsed_s)
    latest = workers.latest.values()
    return Now(
        elapsed_s=elapsed_s,
        phase=spans.phase_at(scenario, elapsed_s),
        per_second=live.per_second,
        success_percent=live.success_percent,
        p99_us=live.p99_us,
        connections=sum(each.open_connections for each in latest),
        waiting=sum(each.waiting for each in latest),
        faults=spans.faults_at(scenario, elapsed_s),
    )


async def _compare(state: _State, instances: Instances, is_ours: bool) -> Ledger:
    """What was sent against what was executed, once origins have done what they were asked."""
    if not is_ours:
        return Ledger()
    await instances.idle(_LAST_WORK_S)
    try:
        for executions in await instances.take([], rest=True):
            state.ledger.executed(executions)
    except ChildError as error:
        state.problems.append(str(error))
        return Ledger()
    return state.ledger.ledger(unknown=instances.unknown)


def _result(
    trial: Trial,
    state: _State,
    started: datetime,
    subject: Subject,
    instances: Instances,
    workers: Workers,
    ledger: Ledger,
    interrupted: bool,
) -> Result:
    scenario = trial.scenario
    sums = state.sums
    summary = sums.summary(state.until_s)
    lasted_s = max(min(scenario.duration_s, state.until_s), 1e-3)
    cpu = [report.cpu_s / lasted_s for _, report in sorted(workers.latest.items())]
    lateness = sums.lateness()
    limited = generator.limits(scenario, summary, lateness, cpu, state.until_s)
    return Result(
        schema=SCHEMA,
        scenario=scenario.name,
        subject=trial.subject,
        round=trial.round,
        started=started.isoformat(timespec="seconds"),
        seed=scenario.seed,
        duration_s=scenario.duration_s,
        bin_s=sums.bin_s,
        text=trial.text,
        versions=versions(trial.subject),
        cores=len(os.sched_getaffinity(0)),
        phases=spans.phases(scenario),
        windows=spans.windows(scenario),
        bins=sums.bins(),
        endpoints=state.traffic.endpoints(instances.addresses),
        summary=summary,
        ledger=ledger,
        generator=Generator(
            scenario.load.processes,
            lateness,
            sum(cpu),
            state.most_connections,
            limited,
            generator.notes(scenario, summary),
        ),
        usage=state.meter.usage(),
        configuration=subject.configuration(),
        verdicts=judge.judge(scenario, sums, ledger),
        is_judged=judge.is_judged(scenario, trial.subject),
        interrupted=interrupted,
        problems=state.problems,
    )
