"""What is measured and how long, and the turns in which subjects are measured."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.bench.load import Sample
from tests.bench.place import Place
from tests.bench.process import StartError
from tests.bench.report import Sheet
from tests.bench.subjects import NEEDS, Starter, Subject

MUCH = 0.1
"""The share of the proxies' core that others may use before a notice says so."""

Measure = Callable[[Subject, float], Sample]
"""Measures a subject for so many seconds."""


@dataclass
class Plan:
    """`notices` gathers what could not be measured, and why; `failed`: something did not start or was not served."""

    place: Place
    rounds: int
    seconds: float
    warm_s: float
    names: list[str]
    notices: list[str] = field(default_factory=list)
    failed: bool = False
    others: float = 0.0
    """The largest share of the proxies' core that other processes took."""

    def notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)
            print(text, file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Say what makes all figures doubtful."""
        if self.others > MUCH:
            self.notice(
                f"the machine was busy: others used up to {self.others * 100:.0f} % of the proxies' core; "
                "CPU per request says more than requests/s and latencies"
            )

    @contextmanager
    def started(self, starters: dict[str, Starter], place: Place | None = None) -> Iterator[list[Subject]]:
        """The chosen subjects, ready; what is absent or does not start is noted and left out."""
        place = place or self.place
        mark = len(place.processes)
        try:
            yield [subject for name, starter in starters.items() if (subject := self._start(name, starter, place))]
        finally:
            place.stop(place.processes[mark:])

    def in_turns(self, sheet: Sheet, subjects: list[Subject], measure: Measure, *, is_cold: bool = False) -> Sheet:
        """Warm up (if there is anything to warm), then measure A B C, A B C, ... into the sheet."""
        for subject in subjects if not is_cold else []:
            measure(subject, self.warm_s)
        for n in range(self.rounds):
            for subject in subjects:
                sample = measure(subject, self.seconds)
                sheet.add(subject.name, sample)
                self._progress(sheet, n, subject, sample)
        self._judge(sheet)
        return sheet

    def _start(self, name: str, starter: Starter, place: Place) -> Subject | None:
        program = NEEDS[name]
        if name not in self.names:
            return None
        if program not in place.tools:
            self.notice(f"{name} is left out: {program} is not installed")
            return None
        mark = len(place.processes)
        try:
            return starter(place)
        except StartError as error:
            self.failed = True
            self.notice(f"{name} is left out, it did not start: {error}")
            place.stop(place.processes[mark:])
            return None

    def _progress(self, sheet: Sheet, n: int, subject: Subject, sample: Sample) -> None:
        column = sheet.columns[0]
        figure = f"{sample[column.key] * column.scale:.{column.digits}f} {column.heading}"
        print(f"  {sheet.title}: {n + 1} of {self.rounds}: {subject.name}: {figure}", file=sys.stderr, flush=True)

    def _judge(self, sheet: Sheet) -> None:
        for subject, samples in sheet.samples.items():
            self.others = max(self.others, *(sample.get("others", 0.0) for sample in samples))
            if count := sum(sample.get("failed", 0) for sample in samples):
                self.failed = True
                self.notice(f"{subject}: {count:.0f} requests failed in: {sheet.title}")
