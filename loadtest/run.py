"""One run, on one page: READ FIRST.

Addresses are claimed, the origin's process begins, then the subject before it, then the generator's processes; all get
one moment to start at. While load is sent, reports are merged, changes are carried out, the subject is watched. After
the last answer what was sent is compared with what was executed, everything is ended, and the result is judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TypeVar

from loadtest.block import Block, NoBlockError
from loadtest.process import ChildError
from loadtest.report.live import Now
from loadtest.results.model import Ledger, Result
from loadtest.stage.changes import Changes
from loadtest.stage.instances import Instances
from loadtest.stage.record import Record, Trial
from loadtest.stage.workers import Workers
from loadtest.subjects import choice
from loadtest.subjects.subject import Place, Subject, SubjectError

_Found = TypeVar("_Found")
_LEAD_S = 0.2
"""From the last preparation to the start: every process has the moment before it comes."""
_LOOK_S = 0.25
_LAST_WORK_S = 2.0
"""So long origins may still work on what callers have given up, before executions are compared."""
_LAST_REPORT_S = 5.0
"""Past the last request's time, a generator process that has not reported is stuck."""


class RunError(Exception):
    """The run could not be made, and there is no result. The message says why, and what to do."""


@dataclass(frozen=True)
class _Stage:
    """Everything that runs. The instances are none when the subject is an address that is already there."""

    subject: Subject
    instances: Instances
    workers: Workers

    @property
    def has_instances(self) -> bool:
        return bool(self.instances.addresses)


async def run(trial: Trial, stop: asyncio.Event, watch: Callable[[Now], None]) -> Result:
    """Runs it to its end, or until `stop` is set; nothing is left running after it. RunError: nothing was sent."""
    record = Record(trial)
    try:
        async with contextlib.AsyncExitStack() as stack:
            stage = await _unless(stop, stack.enter_async_context(_prepared(trial, record)))
            await _send(record, stage, stop, watch)
            ledger = await _compare(record, stage)
            return record.result(stage.subject, stage.instances, ledger)
    except (ChildError, SubjectError, NoBlockError, OSError) as error:
        raise RunError(str(error)) from None


async def _unless(stop: asyncio.Event, doing: Coroutine[None, None, _Found]) -> _Found:
    """What it gives. RunError when `stop` is set meanwhile; then it is cancelled."""
    task, stopping = asyncio.create_task(doing), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when="FIRST_COMPLETED")
        if stop.is_set():
            raise RunError("ended before it began")
        return task.result()
    finally:
        for each in (task, stopping):
            each.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


@contextlib.asynccontextmanager
async def _prepared(trial: Trial, record: Record) -> AsyncIterator[_Stage]:
    """Everything that has to run, ready to start; all of it is gone afterwards."""
    ours, theirs = _cores(trial)
    scenario, text, run_id, bin_s = trial.scenario, trial.text, record.reconciler.run, record.sums.bin_s
    async with contextlib.AsyncExitStack() as stack:
        block = Block()
        stack.callback(block.release)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meshload-")))
        workers = Workers(record.on_report)
        stack.push_async_callback(workers.end)
        await workers.begin(scenario.load.processes, ours)
        instances = Instances(scenario, block, record.traffic.add)
        stack.push_async_callback(instances.end)
        if choice.is_address(trial.subject):
            instances.now = {origin: [] for origin in scenario.origins}
        else:
            await instances.begin(text, run_id, bin_s, ours)
        subject = choice.make(trial.subject, Place(folder, block, theirs))
        stack.push_async_callback(subject.stop)
        entries = await subject.start(instances.now, scenario.policy)
        await workers.prepare(text, run_id, entries, bin_s)
        yield _Stage(subject, instances, workers)


def _cores(trial: Trial) -> tuple[Sequence[int], Sequence[int]]:
    """For generator and origin, for the subject; none is any. RunError when a generator would leave the origin none."""
    allowed = sorted(os.sched_getaffinity(0))
    ours, theirs = (allowed[:-1], allowed[-1:]) if trial.pin and len(allowed) > 1 else ((), ())
    load = trial.scenario.load
    if load.busy_poll and load.processes >= len(ours or allowed):
        raise RunError(
            f"load.busy_poll takes a core for each of load.processes ({load.processes}) and leaves none for what else "
            f"runs beside them, of {len(ours or allowed)}: fewer processes, --no-pin or a machine with more cores helps"
        )
    return ours, theirs


async def _send(record: Record, stage: _Stage, stop: asyncio.Event, watch: Callable[[Now], None]) -> None:
    """Load from its first request to its last answer."""
    scenario = record.trial.scenario
    record.look(stage.subject)
    record.began = monotonic() + _LEAD_S
    stage.workers.start(record.began)
    if stage.has_instances:
        stage.instances.start(record.began)
    work = asyncio.create_task(stage.workers.work())
    changes = asyncio.create_task(_change(record, stage))
    stopping = asyncio.create_task(stop.wait())
    last = record.began + scenario.duration_s + scenario.load.timeout + _LAST_REPORT_S
    awaited = {work, stopping}
    try:
        while not work.done():
            await asyncio.wait(awaited, timeout=_LOOK_S, return_when="FIRST_COMPLETED")
            now = monotonic()
            record.look(stage.subject)
            is_whole = await _settle(record, stage.instances, now)
            watch(record.now(now))
            if (stop.is_set() or not is_whole) and stopping in awaited:
                awaited = {work}
                record.interrupted = stop.is_set()
                record.end(now)
                stage.workers.stop()
                last = min(last, now + _LAST_REPORT_S)
            if now > last:
                record.is_partial = True
                record.note("the generator did not end in time; what it had reported until then is shown")
                break
        if work.done():
            _gather(record, work.exception())
    finally:
        for task in (work, changes, stopping):
            task.cancel()
        await asyncio.wait({work, changes, stopping})


async def _settle(record: Record, instances: Instances, now: float) -> bool:
    """Compares what is due. False when origins are gone, which is a problem of the run, and it goes on for nothing."""
    try:
        if instances.addresses and (due := record.reconciler.due(now)):
            record.reconciler.took(due, await instances.take(due))
    except ChildError as error:
        record.note(str(error))
        return False
    if instances.trouble:
        record.note(instances.trouble)
    return not instances.trouble


def _gather(record: Record, error: BaseException | None) -> None:
    """A generator process that ended before its time leaves a result with a problem, not none."""
    if error is not None:
        record.is_partial = True
        record.end(monotonic())
        for each in error.exceptions if isinstance(error, BaseExceptionGroup) else [error]:
            record.note(str(each))


async def _change(record: Record, stage: _Stage) -> None:
    if stage.has_instances:
        changes = Changes(record.trial.scenario, stage.subject, stage.instances, stage.workers)
        for error in await changes.carry_out(record.began):
            record.note(f"a change failed: {error}")


async def _compare(record: Record, stage: _Stage) -> Ledger:
    """What was sent against what was executed, once origins have done what they were asked; unknown without either."""
    if not stage.has_instances or record.is_partial:
        return Ledger()
    await stage.instances.idle(_LAST_WORK_S)
    try:
        for executions in await stage.instances.take([], rest=True):
            record.reconciler.executed(executions)
    except ChildError as error:
        record.note(str(error))
        return Ledger()
    return record.reconciler.ledger(unknown=stage.instances.unknown)
