"""What is gathered while a run goes on, and the result that it becomes."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from time import monotonic

from loadtest.messages import Report
from loadtest.report.live import Now
from loadtest.results import generator, judge, spans
from loadtest.results.ledger import Reconciler
from loadtest.results.model import SCHEMA, Generator, Ledger, Result, Summary
from loadtest.results.sums import Sums
from loadtest.results.traffic import Traffic
from loadtest.scenario.figures import bin_width
from loadtest.scenario.model import Scenario
from loadtest.stage.instances import Instances
from loadtest.stage.usage import Meter
from loadtest.subjects import choice
from loadtest.subjects.subject import Subject
from loadtest.subjects.versions import versions


@dataclass(frozen=True)
class Trial:
    """What to run: a scenario (with the text of its file) against a subject, for the nth time."""

    text: str
    scenario: Scenario
    subject: str
    round: int = 1
    pin: bool = True
    """Subjects have the last core for themselves, when there are several; generator and origin have the rest."""


class Record:
    """Of one run. `began` is the moment of its start (monotonic), `until_s` when its load was ended before its time."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.sums = Sums(trial.scenario, bin_width(trial.scenario.duration_s))
        self.traffic = Traffic(self.sums.bin_s)
        self.reconciler = Reconciler(token_hex(4))
        self.problems: list[str] = []
        self.windows = [] if choice.is_address(trial.subject) else spans.windows(trial.scenario)
        self.began = 0.0
        self.until_s = math.inf
        self.interrupted = False
        self.is_partial = False
        """A generator process did not tell all that it had sent."""
        self._meter = Meter()
        self._started = datetime.now(UTC)
        self._latest: dict[int, Report] = {}
        self._most_connections = 0

    def on_report(self, worker: int, report: Report) -> None:
        for cell in report.cells:
            self.sums.add(cell)
        self.sums.add_lateness(report.lateness)
        for outcomes in report.chunks:
            self.reconciler.saw(worker, outcomes, monotonic())
        self._latest[worker] = report
        self._most_connections = max(self._most_connections, self._connections)

    @property
    def _connections(self) -> int:
        return sum(each.open_connections for each in self._latest.values())

    def note(self, problem: str) -> None:
        """A problem of the run; each is told once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def look(self, subject: Subject) -> None:
        """What the subject's processes use; one that ended by itself is a problem."""
        children = subject.children()
        self._meter.look(children)
        for child in children:
            if not child.is_running:
                self.note(f"{child.name} ended by itself (status {child.returncode}):\n{child.last_words()}")

    def end(self, now: float) -> None:
        """Load ends before its time."""
        self.until_s = min(self.until_s, now - self.began)

    def now(self, now: float) -> Now:
        """For people who watch."""
        elapsed_s = now - self.began
        live = self.sums.live(elapsed_s)
        return Now(
            elapsed_s=elapsed_s,
            phase=spans.phase_at(self.trial.scenario, elapsed_s),
            per_second=live.per_second,
            success_percent=live.success_percent,
            p99_us=live.p99_us,
            connections=self._connections,
            waiting=sum(each.waiting for each in self._latest.values()),
            faults=spans.faults_at(self.windows, elapsed_s),
        )

    def result(self, subject: Subject, instances: Instances, ledger: Ledger) -> Result:
        trial = self.trial
        scenario = trial.scenario
        summary = self.sums.summary(self.until_s)
        return Result(
            schema=SCHEMA,
            scenario=scenario.name,
            subject=trial.subject,
            round=trial.round,
            started=self._started.isoformat(timespec="seconds"),
            seed=scenario.seed,
            duration_s=scenario.duration_s,
            bin_s=self.sums.bin_s,
            text=trial.text,
            versions=versions(trial.subject),
            cores=len(os.sched_getaffinity(0)),
            phases=spans.phases(scenario),
            windows=self.windows,
            bins=self.sums.bins(),
            endpoints=self.traffic.endpoints(instances.addresses),
            summary=summary,
            ledger=ledger,
            generator=self._generator(summary),
            usage=self._meter.usage(),
            configuration=subject.configuration(),
            verdicts=judge.judge(scenario, self.sums, ledger),
            is_judged=judge.is_judged(scenario, trial.subject),
            interrupted=self.interrupted,
            problems=self.problems,
        )

    def _generator(self, summary: Summary) -> Generator:
        scenario = self.trial.scenario
        lateness = self.sums.lateness()
        lasted_s = max(min(scenario.duration_s, self.until_s), 1e-3)
        cpu = [report.cpu_s / lasted_s for _, report in sorted(self._latest.items())]
        return Generator(
            processes=scenario.load.processes,
            lateness=lateness,
            cpu=sum(cpu),
            most_connections=self._most_connections,
            # Of a moment a process's time tells nothing: what it took to begin is in it.
            limited=generator.limits(scenario, summary, lateness, cpu if lasted_s >= 1 else [], self.until_s),
            notes=[*generator.notes(scenario, summary), *self._absent()],
        )

    def _absent(self) -> list[str]:
        """What of the scenario did not happen, because there was nobody to do it."""
        scenario = self.trial.scenario
        if not choice.is_address(self.trial.subject) or not (scenario.faults or scenario.changes):
            return []
        return ["the origins are not meshload's: none of the scenario's faults and changes took place"]
