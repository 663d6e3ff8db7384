"""The results of one scenario and subject: which of them is drawn, and what all of them together say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from loadtest.report.words import count, seconds
from loadtest.results import medians
from loadtest.results.model import SCHEMA, Comparison, Result
from loadtest.scenario.words import join, plural

Rounds = list[Result]
_MOST_NAMED = 4


def by_scenario(comparison: Comparison) -> dict[str, dict[str, Rounds]]:
    """Results by scenario and subject, in the order in which they were first run."""
    found: dict[str, dict[str, Rounds]] = {}
    for each in comparison.results:
        found.setdefault(each.scenario, {}).setdefault(each.subject, []).append(each)
    return found


def subjects(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(each.subject for each in comparison.results))


def most_rounds(comparison: Comparison) -> int:
    """How often what was run most often was run."""
    found = by_scenario(comparison)
    return max((len(rounds) for by_subject in found.values() for rounds in by_subject.values()), default=0)


def sound(rounds: Sequence[Result]) -> Rounds:
    """Those that were neither interrupted nor had problems; all of them when there is none such."""
    return [each for each in rounds if not each.interrupted and not each.problems] or list(rounds)


def row(rounds: Sequence[Result]) -> medians.Row:
    """Medians of the sound rounds of one scenario and subject."""
    taken = [msgspec.structs.replace(each, interrupted=False, problems=[]) for each in sound(rounds)]
    return medians.rows(Comparison(SCHEMA, "", taken))[0]


def drawn(rounds: Sequence[Result]) -> Result:
    """The round whose curves stand for all: the middle one of the sound by success, then p99 (of two, the worse)."""
    ordered = sorted(sound(rounds), key=lambda each: (each.summary.success_percent, -each.summary.latency.p99))
    return ordered[(len(ordered) - 1) // 2]


@dataclass(frozen=True)
class Judgement:
    """One measure of one expectation over the rounds that were not interrupted: it holds when it holds in each.

    When all were interrupted, it is what they had, and not judged.
    """

    what: str
    expected: str
    measured: list[str]
    holds: bool
    is_judged: bool


def judgements(rounds: Sequence[Result]) -> list[Judgement]:
    shown = [each for each in rounds if not each.interrupted]
    is_judged = bool(shown) and any(each.is_judged for each in shown)
    shown = shown or [msgspec.structs.replace(each, interrupted=False) for each in rounds]
    return [
        Judgement(
            what,
            expected,
            [each.measured for result in shown for each in result.verdicts if (each.what, each.expected) == key],
            holds,
            is_judged,
        )
        for key, holds in medians.held(shown).items()
        for what, expected in [key]
    ]


def is_cut(rounds: Sequence[Result]) -> bool:
    """Whether all were interrupted, so that nothing is judged."""
    return all(each.interrupted for each in rounds)


def verdict(comparison: Comparison) -> str:
    """How many expectations hold, who misses the others, and whether anything broke, in a sentence or two."""
    broke = sum(bool(each.problems) for each in comparison.results) + len(comparison.failures)
    return _verdict(comparison) + (
        f" {plural(broke, 'run')} broke: what was measured there tells little." if broke else ""
    )


def _verdict(comparison: Comparison) -> str:
    total: dict[str, int] = {}
    missed: dict[str, list[str]] = {}
    for scenario, by_subject in by_scenario(comparison).items():
        for subject, rounds in by_subject.items():
            judged = [each for each in judgements(rounds) if each.is_judged]
            total[subject] = total.get(subject, 0) + len(judged)
            failing = [f"{each.what} in {scenario}" for each in judged if not each.holds]
            if failing:
                missed.setdefault(subject, []).extend(failing)
    of = sum(total.values())
    failed = sum(map(len, missed.values()))
    with_verdicts = [each for each in comparison.results if each.verdicts]
    if not of and any(each.is_judged for each in with_verdicts):
        return "Nothing is judged: what was run was interrupted."
    if not of and with_verdicts:
        return "Nothing is judged: what the scenarios expect is for other subjects."
    if not of:
        return "Nothing was expected of these runs, so nothing is judged."
    if not failed:
        return "The one expectation holds." if of == 1 else f"All {count(of)} expectations hold."
    if failed <= _MOST_NAMED:
        names = [f"{subject} misses {join(failing)}" for subject, failing in missed.items()]
    else:
        names = [f"{subject} misses {len(failing)} of {total[subject]}" for subject, failing in missed.items()]
    return f"{count(of - failed)} of {count(of)} expectations hold; {join(names)}."


def unsound(rounds: Sequence[Result]) -> list[str]:
    """Why these results are not what they seem: cut short, with problems, limited by the generator or by their load."""
    limits = [
        f"{_where(rounds, each)}: meshload itself was the limit: {why}"
        for each in rounds
        for why in each.generator.limited
    ]
    notes = [f"{_where(rounds, each)}: {note}" for each in rounds for note in each.generator.notes]
    return broken(rounds) + limits + notes


def broken(rounds: Sequence[Result]) -> list[str]:
    """Runs cut short, or with problems, and why."""
    found = []
    for each in rounds:
        where = _where(rounds, each)
        if each.interrupted:
            found.append(f"{where}: the run was interrupted; it was meant to last {seconds(each.duration_s)}.")
        found += [f"{where}: {problem}" for problem in each.problems]
    return found


def _where(rounds: Sequence[Result], one: Result) -> str:
    return f"{one.subject}, round {one.round}" if len(rounds) > 1 or one.round > 1 else one.subject
