"""What generator processes report, added up by phase and bin of time, in memory that does not grow with the requests.

The number of bins is bounded by their width. A bin that is being reported on counts in dictionaries; one that nothing
was heard of for a while is packed as it will be written to the file, a few kilobytes, and unpacked if something comes
after all. Windows of time go by where a bin begins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from loadtest.messages import Cell
from loadtest.outcome import ABANDONED
from loadtest.results.histogram import Histogram
from loadtest.results.model import Bin, Percentiles, Summary
from loadtest.scenario import figures
from loadtest.scenario.model import Scenario

_MOST_OPEN = 64
"""Unpacked at once: bounds memory when answers may take very long."""


@dataclass(frozen=True, slots=True)
class Part:
    """Measured requests of a window: by outcome, and the latencies of successes and of all."""

    counts: dict[str, int]
    ok: Histogram
    all: Histogram

    @property
    def known(self) -> int:
        """Requests whose end was awaited: what was abandoned is neither a success nor a failure of the target."""
        return sum(self.counts.values()) - self.counts.get(ABANDONED, 0)

    @property
    def success_percent(self) -> float:
        """Of those; 0 when there are none."""
        return 100.0 * self.ok.count / self.known if self.known else 0.0


@dataclass(frozen=True, slots=True)
class Live:
    """What became known lately. `p99_us` is of successes, 0 without; `success_percent` is None when nothing did."""

    per_second: float
    success_percent: float | None
    p99_us: int


_K = TypeVar("_K", int, str)
_Key = tuple[int, int]
"""Number of the phase, number of the bin."""
_Counting = tuple[dict[int, int], dict[int, int]]
"""Latencies of successes and of all, {microseconds: count}."""


class Sums:
    """Everything that was reported so far."""

    def __init__(self, scenario: Scenario, bin_s: float) -> None:
        self._phases = scenario.load.phases
        self._spans = figures.spans(scenario)
        self._is_closed = scenario.load.mode == "closed"
        self.bin_s = bin_s
        self._bins = math.ceil(scenario.duration_s / bin_s)
        self._most_open = min(_MOST_OPEN, math.ceil(scenario.load.timeout / bin_s) + 4)
        self._counts: dict[_Key, dict[str, int]] = {}
        self._open: dict[_Key, _Counting] = {}
        self._packed: dict[_Key, tuple[str, str]] = {}
        self._lateness: dict[int, int] = {}
        self._lately = Cell(0, 0, {}, {}, {})
        self._looked_s = 0.0

    def add(self, cell: Cell) -> None:
        """ValueError for a phase that is none. What begins past the load's last bin (rounding) belongs to that one."""
        if not 0 <= cell.phase < len(self._phases) or cell.bin < 0:
            raise ValueError(f"there is no bin {cell.bin} of phase {cell.phase} in this scenario")
        key = (cell.phase, min(cell.bin, self._bins - 1))
        _merge(self._counts.setdefault(key, {}), cell.counts)
        ok, every = self._opened(key)
        _merge(ok, cell.ok)
        _merge(every, cell.all)
        _merge(self._lately.counts, cell.counts)
        _merge(self._lately.ok, cell.ok)

    def add_lateness(self, lateness: Mapping[int, int]) -> None:
        """{microseconds: count} of a Report."""
        _merge(self._lateness, lateness)

    def _opened(self, key: _Key) -> _Counting:
        """The bin's dictionaries, last of the open ones now; the one that was left alone longest makes room."""
        counting = self._open.pop(key, None)
        if counting is None:
            ok, every = self._packed.pop(key, ("", ""))
            counting = (Histogram.decode(ok).counts(), Histogram.decode(every).counts())
        self._open[key] = counting
        if len(self._open) > self._most_open:
            oldest = next(iter(self._open))
            self._packed[oldest] = _pack(self._open.pop(oldest))
        return counting

    @property
    def kept(self) -> tuple[int, int]:
        """How much is in memory: entries of open bins, and characters of packed ones."""
        entries = sum(len(ok) + len(every) for ok, every in self._open.values())
        return entries, sum(len(ok) + len(every) for ok, every in self._packed.values())

    def bins(self) -> list[Bin]:
        """All bins in which something was counted, of unmeasured phases too, in the order of time."""
        found = []
        for phase, number in sorted(self._counts, key=lambda key: (key[1], key[0])):
            key = (phase, number)
            ok, every = self._packed[key] if key in self._packed else _pack(self._open[key])
            found.append(Bin(number * self.bin_s, phase, dict(self._counts[key]), ok, every))
        return found

    def between(self, from_s: float, to_s: float) -> Part:
        """What is measured of the bins that begin in [from_s, to_s)."""
        counts: dict[str, int] = {}
        ok, every = Histogram(), Histogram()
        for key in self._measured(from_s, to_s):
            _merge(counts, self._counts[key])
            if key in self._packed:
                parts = [Histogram.decode(text) for text in self._packed[key]]
            else:
                parts = [Histogram(each) for each in self._open[key]]
            ok.add(parts[0])
            every.add(parts[1])
        return Part(counts, ok, every)

    def _measured(self, from_s: float, to_s: float) -> Iterator[_Key]:
        for phase, number in self._counts:
            if self._phases[phase].measured and from_s <= number * self.bin_s < to_s:
                yield phase, number

    def summary(self, until_s: float = math.inf) -> Summary:
        """Everything that is measured. `until_s`: when load was ended before its time."""
        part = self.between(0.0, math.inf)
        requests = sum(part.counts.values())
        rated = requests
        if self._is_closed:
            rated = sum(count for outcome, count in part.counts.items() if outcome.isdigit())
        seconds = self._measured_s(until_s)
        return Summary(
            requests=requests,
            success_percent=part.success_percent,
            per_second=rated / seconds if seconds else 0.0,
            counts=part.counts,
            latency=part.ok.percentiles(),
            latency_all=part.all.percentiles(),
        )

    def _measured_s(self, until_s: float) -> float:
        measured = [span for span in self._spans if span.phase.measured]
        return round(sum(max(0.0, min(span.to_s, until_s) - span.from_s) for span in measured), 9)

    def lateness(self) -> Percentiles:
        """Of the generator itself, in measured phases."""
        return Histogram(self._lateness).percentiles()

    def live(self, now_s: float) -> Live:
        """What became known since this was asked last, `now_s` being seconds of the run.

        By when it became known, and not by intended start: of the last second's requests only the quick ones are known,
        and a target that hangs would look well.
        """
        lately, self._lately = self._lately, Cell(0, 0, {}, {}, {})
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        part = Part(lately.counts, Histogram(lately.ok), Histogram())
        return Live(
            per_second=sum(part.counts.values()) / passed_s if passed_s > 0 else 0.0,
            success_percent=part.success_percent if part.known else None,
            p99_us=part.ok.at([99.0])[0],
        )


def _merge(into: dict[_K, int], more: Mapping[_K, int]) -> None:
    for key, count in more.items():
        into[key] = into.get(key, 0) + count


def _pack(counting: _Counting) -> tuple[str, str]:
    ok, every = counting
    return Histogram(ok).encode(), Histogram(every).encode()
