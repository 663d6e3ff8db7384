"""Rounds of the same scenario against the same subject as one row of figures: medians and their ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from loadtest.results.model import Comparison, Result


class Spread(NamedTuple):
    """The median of the rounds, and the least and the most of them."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Row:
    """Latencies are microseconds, of successes. A figure is None where no round that counts has it.

    Rounds that were interrupted or had problems are in `excluded`, with the reason, and in no figure.
    """

    scenario: str
    subject: str
    rounds: int
    """How many count."""
    success_percent: Spread | None
    p50: Spread | None
    p99: Spread | None
    p99_9: Spread | None
    max: Spread | None
    per_second: Spread | None
    writes_executed_twice: Spread | None
    lost: Spread | None
    """Successes that no instance executed."""
    amplification: Spread | None
    cpu_us: Spread | None
    """The subject's CPU time for each request of the whole load, in microseconds."""
    rss_bytes: Spread | None
    """The subject's memory, all its processes together."""
    holds: bool | None
    """Whether every expectation held in every round that was not interrupted, without a problem. None: not judged."""
    excluded: list[str]
    is_broken: bool
    """Whether any round had a problem of the run."""
    limited: list[str]
    """Rounds that count, but in which the generator was the limit; why."""


def rows(comparison: Comparison) -> list[Row]:
    """One for each scenario and subject, in the order in which they were first run."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in comparison.results:
        found.setdefault((result.scenario, result.subject), []).append(result)
    return [_row(scenario, subject, results) for (scenario, subject), results in found.items()]


def _row(scenario: str, subject: str, results: Sequence[Result]) -> Row:
    sound = [result for result in results if not result.interrupted and not result.problems]

    def spread(figure: Callable[[Result], float | None]) -> Spread | None:
        return spread_of(figure(result) for result in sound)

    return Row(
        scenario=scenario,
        subject=subject,
        rounds=len(sound),
        success_percent=spread(lambda result: result.summary.success_percent if result.summary.requests else None),
        p50=spread(lambda result: _latency(result, "p50")),
        p99=spread(lambda result: _latency(result, "p99")),
        p99_9=spread(lambda result: _latency(result, "p99_9")),
        max=spread(lambda result: _latency(result, "max")),
        per_second=spread(lambda result: result.summary.per_second),
        writes_executed_twice=spread(
            lambda result: result.ledger.writes_executed_twice if result.ledger.is_known else None
        ),
        lost=spread(lambda result: result.ledger.lost if result.ledger.is_known else None),
        amplification=spread(lambda result: result.ledger.amplification if result.ledger.is_known else None),
        cpu_us=spread(_cpu_us),
        rss_bytes=spread(lambda result: sum(each.rss_bytes for each in result.usage) if result.usage else None),
        holds=_holds(results),
        is_broken=any(result.problems for result in results),
        excluded=[told for result in results if (told := _excluded(result))],
        limited=[
            f"round {result.round}: {'; '.join(result.generator.limited)}"
            for result in sound
            if result.generator.limited
        ],
    )


def spread_of(figures: Iterable[float | None]) -> Spread | None:
    """Of those that are known; None when none is."""
    known = [figure for figure in figures if figure is not None]
    return Spread(float(median(known)), float(min(known)), float(max(known))) if known else None


def _latency(result: Result, name: str) -> float | None:
    latency = result.summary.latency
    return float(getattr(latency, name)) if latency.count else None


def _cpu_us(result: Result) -> float | None:
    requests = sum(sum(each.counts.values()) for each in result.bins)
    if not result.usage or not requests:
        return None
    return sum(each.cpu_s for each in result.usage) * 1e6 / requests


def _holds(results: Iterable[Result]) -> bool | None:
    found = held(result for result in results if result.is_judged)
    return all(found.values()) if found else None


def held(results: Iterable[Result]) -> dict[tuple[str, str], bool]:
    """Whether each (what, expected) held in every round that was not interrupted, without a problem of the run."""
    found: dict[tuple[str, str], bool] = {}
    for result in results:
        for each in result.verdicts if not result.interrupted else ():
            key = each.what, each.expected
            found[key] = found.get(key, True) and each.holds and not result.problems
    return found


def _excluded(result: Result) -> str:
    """Why a round counts for nothing; empty when it counts."""
    reasons = [*(["interrupted"] if result.interrupted else []), *result.problems]
    return f"round {result.round}: {'; '.join(reasons)}" if reasons else ""
