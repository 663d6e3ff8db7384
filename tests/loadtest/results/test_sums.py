from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.messages import Cell
from loadtest.outcome import ABANDONED, TIMEOUT
from loadtest.results.histogram import Histogram
from loadtest.results.sums import Live, Sums
from loadtest.scenario.figures import MOST_BINS, bin_width
from loadtest.scenario.model import MOST_RATE, Scenario

PHASES = [{"name": "warm-up", "for": "1s", "rate": "10/s", "measured": False}, {"for": "4s", "rate": "100/s"}]


def scenario(phases: list[dict[str, Any]] = PHASES, **load: Any) -> Scenario:
    return Scenario.model_validate({"name": "a", "load": {"phases": phases, **load}})


def ok(phase: int, number: int, latencies: dict[int, int]) -> Cell:
    return Cell(phase, number, {"200": sum(latencies.values())}, latencies, dict(latencies))


def failed(phase: int, number: int, outcome: str, latencies: dict[int, int]) -> Cell:
    return Cell(phase, number, {outcome: sum(latencies.values())}, {}, latencies)


def told(sums: Sums) -> tuple[object, ...]:
    """Everything that sums tell, to compare."""
    part = sums.between(0, math.inf)
    return sums.bins(), sums.summary(), part.counts, part.ok.encode(), part.all.encode(), sums.lateness()


LATENCIES = st.dictionaries(st.integers(1, 4_000_000), st.integers(1, 20), max_size=5)
CELLS = st.lists(
    st.one_of(
        st.builds(ok, st.integers(0, 1), st.integers(0, 19), LATENCIES),
        st.builds(failed, st.integers(0, 1), st.integers(0, 19), st.sampled_from(["503", TIMEOUT]), LATENCIES),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(CELLS, st.randoms(use_true_random=False))
def test_order_and_split_do_not_matter(cells: list[Cell], rng: Any) -> None:
    one, other = Sums(scenario(timeout="250ms"), 0.25), Sums(scenario(), 0.25)
    for cell in cells:
        one.add(cell)
        one.add_lateness(cell.all)
    parts = [part for cell in cells for part in split(cell)]
    rng.shuffle(parts)
    for part in parts:
        other.add(part)
        other.add_lateness(part.all)
    first, second = told(one), told(other)
    assert first[1:] == second[1:]
    assert [each for each in first[0] if each.counts] == [each for each in second[0] if each.counts]


def split(cell: Cell) -> list[Cell]:
    """The same in as many cells as it has latencies, each with its outcome."""
    outcome = next(iter(cell.counts))
    return [
        Cell(cell.phase, cell.bin, {outcome: n}, {us: n} if us in cell.ok else {}, {us: n})
        for us, n in cell.all.items()
    ] or [cell]  # fmt: skip


@settings(max_examples=40)
@given(CELLS, st.integers(0, 20), st.integers(0, 20))
def test_windows_hold_the_measured_bins_that_begin_in_them(cells: list[Cell], first: int, last: int) -> None:
    sums = Sums(scenario(), 0.25)
    for cell in cells:
        sums.add(cell)
    part = sums.between(first * 0.25, last * 0.25)
    inside = [cell for cell in cells if cell.phase == 1 and first <= cell.bin < last]
    requests = sum(sum(cell.counts.values()) for cell in inside)
    assert sum(part.counts.values()) == part.known == requests == part.all.count
    assert part.ok.count == sum(sum(cell.ok.values()) for cell in inside)
    assert sum(n for bin_ in sums.bins() for n in bin_.counts.values()) == sum(sum(c.counts.values()) for c in cells)


def test_windows_may_be_cut_anywhere_without_loss() -> None:
    sums = Sums(scenario(), 0.25)
    for number in range(4, 20):
        sums.add(ok(1, number, {100 * number: 3}))
    whole = sums.between(0, math.inf)
    edges = [0, 1.1, 2.0, 3.3, math.inf]
    parts = [sums.between(*pair) for pair in itertools.pairwise(edges)]
    assert sum(part.ok.count for part in parts) == whole.ok.count == 48


@given(st.floats(0.001, 100 * 86_400))
def test_bins_are_at_most_600(duration_s: float) -> None:
    width_s = bin_width(duration_s)
    assert math.ceil(duration_s / width_s) <= MOST_BINS
    assert width_s >= 0.25
    assert width_s <= 0.25 or duration_s / width_s > MOST_BINS / 4 or width_s == 3600


@pytest.mark.parametrize(("duration_s", "width_s"), [(5, 0.25), (150, 0.25), (151, 0.5), (3600, 10), (86_400, 300)])
def test_bins_grow_with_the_load(duration_s: float, width_s: float) -> None:
    assert bin_width(duration_s) == width_s


def test_the_summary_is_of_measured_phases() -> None:
    sums = Sums(scenario(), 0.25)
    sums.add(failed(0, 3, "500", {9: 5}))
    sums.add(ok(1, 4, {1000: 390}))
    sums.add(failed(1, 5, "503", {300: 6}))
    sums.add(failed(1, 6, TIMEOUT, {5_000_000: 4}))
    found = sums.summary()
    assert (found.requests, found.counts) == (400, {"200": 390, "503": 6, TIMEOUT: 4})
    assert found.success_percent == 97.5
    assert found.per_second == 100.0
    assert (found.latency.count, found.latency.p99, found.latency_all.count) == (390, 1000, 400)
    assert found.latency_all.max == Histogram({5_000_000: 1}).at([100])[0]
    assert len(sums.bins()) == 4


def test_a_bin_may_be_of_two_phases() -> None:
    phases = [{"for": "100ms", "rate": "10/s", "measured": False}, {"for": "100ms", "rate": "10/s"}]
    sums = Sums(scenario(phases), 0.25)
    sums.add(failed(0, 0, "500", {9: 5}))
    sums.add(ok(1, 0, {7: 2}))
    assert sums.summary().counts == {"200": 2}
    assert [(each.from_s, each.phase, each.counts) for each in sums.bins()] == [(0, 0, {"500": 5}), (0, 1, {"200": 2})]


def test_a_closed_loop_has_the_rate_of_what_was_answered() -> None:
    sums = Sums(scenario([{"for": "2s", "callers": 4}], mode="closed"), 0.25)
    sums.add(ok(0, 0, {500: 60}))
    sums.add(failed(0, 1, "503", {500: 20}))
    sums.add(failed(0, 1, TIMEOUT, {500: 20}))
    assert sums.summary().per_second == 40.0
    assert sums.summary().requests == 100


@pytest.mark.parametrize(("until_s", "per_second"), [(1.0, 0.0), (0.5, 0.0), (3.0, 100.0), (99.0, 50.0)])
def test_what_was_ended_early_has_the_rate_of_its_time(until_s: float, per_second: float) -> None:
    sums = Sums(scenario(), 0.25)
    sums.add(ok(1, 5, {500: 200}))
    assert sums.summary(until_s).per_second == per_second


def test_what_was_abandoned_is_neither_success_nor_failure() -> None:
    sums = Sums(scenario(), 0.25)
    sums.add(ok(1, 5, {500: 9}))
    sums.add(failed(1, 5, "503", {500: 1}))
    sums.add(failed(1, 5, ABANDONED, {500: 90}))
    assert sums.summary().success_percent == 90.0
    assert sums.summary().requests == 100


def test_nothing_at_all_is_zeros() -> None:
    sums = Sums(scenario(), 0.25)
    found = sums.summary()
    assert (found.requests, found.success_percent, found.per_second, found.latency.max) == (0, 0.0, 0.0, 0)
    assert sums.bins() == []
    assert sums.lateness().count == 0


def test_live_tells_what_became_known_since_the_last_look() -> None:
    sums = Sums(scenario(), 0.25)
    sums.add(ok(0, 0, {1000: 90, 2000: 8}))
    sums.add(failed(0, 0, "503", {9: 2}))
    assert sums.live(0.5) == Live(200.0, 98.0, 2000)
    sums.add(failed(1, 4, TIMEOUT, {5_000_000: 30}))
    assert sums.live(1.5) == Live(30.0, 0.0, 0)
    assert sums.live(2.5) == Live(0.0, None, 0)
    assert sums.live(2.5) == Live(0.0, None, 0)


@pytest.mark.parametrize("cell", [ok(2, 0, {1: 1}), ok(-1, 0, {1: 1}), ok(0, -1, {1: 1})])
def test_a_cell_of_nowhere_is_refused(cell: Cell) -> None:
    with pytest.raises(ValueError, match="no bin"):
        Sums(scenario(), 0.25).add(cell)


def test_a_start_that_rounds_past_the_end_is_in_the_last_bin() -> None:
    sums = Sums(scenario(), 0.25)
    sums.add(ok(1, 20, {1: 1}))
    assert [each.from_s for each in sums.bins()] == [4.75]


def test_answers_that_come_long_after_still_count() -> None:
    """The bin was packed meanwhile."""
    sums = Sums(scenario([{"for": "100s", "rate": "1/s"}], timeout="1s"), 0.25)
    sums.add(ok(0, 0, {123_456: 1}))
    for number in range(1, 400):
        sums.add(ok(0, number, {77: 1}))
    assert sums.kept[1] > 0
    sums.add(ok(0, 0, {123_456: 1, 5: 1}))
    assert Histogram.decode(sums.bins()[0].ok).counts() == Histogram({123_456: 2, 5: 1}).counts()
    assert sums.between(0, 0.25).ok.count == 3


def test_an_hour_is_kept_in_little() -> None:
    """5 000 requests a second, four reports a second, some answers seconds late: what is open does not grow."""
    lasts = scenario([{"for": "1h", "rate": "5000/s"}])
    bin_s = bin_width(lasts.duration_s)
    sums = Sums(lasts, bin_s)
    swift = dict.fromkeys(range(200, 1400, 20), 18) | dict.fromkeys(range(2048, 4096, 200), 15)
    slow = dict.fromkeys(range(2**21, 2**22, 2**16), 1)
    entries = []
    for report in range(4 * 3600):
        at = report / 4
        sums.add(ok(0, int(at / bin_s), {us + report % 19: n for us, n in swift.items()} if report % 4 == 0 else swift))
        if report % 10 == 0:
            sums.add(failed(0, int(max(at - 5, 0) / bin_s), TIMEOUT, slow))
        entries.append(sums.kept[0])
    assert max(entries) <= max(entries[: 4 * 300]) * 1.05, "the first five minutes have shown all there is"
    assert max(entries) < 20_000
    assert sums.kept[1] < 360 * 2 * 4096
    assert len(sums.bins()) == 360
    assert sums.summary().latency.count == 4 * 3600 * sum(swift.values())


def test_the_longest_run_has_as_few_bins() -> None:
    longest = scenario([{"for": "24h", "rate": f"{MOST_RATE:.0f}/s"}] * 100)
    assert longest.duration_s / bin_width(longest.duration_s) <= MOST_BINS
