"""Tables as they are before somebody draws them, for the page and the terminal alike: subjects side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from loadtest.report.rounds import Rounds, by_scenario, is_cut, judgements, most_rounds, row, sound, subjects
from loadtest.report.words import DASH, count, is_answer, latency, outcome, percent
from loadtest.results.medians import Spread, spread_of
from loadtest.results.model import Comparison, Generator, Percentiles, Result
from loadtest.scenario.units import rate, size
from loadtest.scenario.words import plural

LIMITED = "~ meshload was the limit"
"""Beside figures of which a part may be the generator's own."""

Number = Callable[[float], str]


@dataclass(frozen=True)
class Bit:
    """A line in a cell. `spread` is the range over the rounds; `tone` is good, bad, quiet or nothing."""

    text: str
    spread: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Row:
    label: str
    cells: list[list[Bit]]
    about: str = ""


@dataclass(frozen=True)
class Sheet:
    title: str
    columns: list[str]
    rows: list[Row] = field(default_factory=list)
    note: str = ""


def comparison(found: Comparison) -> Sheet:
    """A row for each scenario: success, p99, and whether what is expected holds."""
    names = subjects(found)
    rows = [
        Row(scenario, [_overall(by_subject[name]) if name in by_subject else [Bit(DASH)] for name in names])
        for scenario, by_subject in by_scenario(found).items()
    ]
    most = most_rounds(found)
    note = f"Medians of {most} rounds, with least and most in brackets. " if most > 1 else ""
    note += "Success, and p99 of what succeeded."
    if any(not each.is_judged and each.verdicts for each in found.results):
        note += " Expectations without colour are not for that subject, and not judged."
    if most > 1 and any(each.generator.limited for each in found.results):
        note += " ~: meshload itself was the limit."
    return Sheet("All at a glance", names, rows, note)


def _overall(rounds: Rounds) -> list[Bit]:
    figures = row(rounds)
    bits = [_spread(figures.success_percent, percent), _spread(figures.p99, latency, "p99 ")]
    twice = sum(each.ledger.writes_executed_twice for each in rounds)
    if twice:
        bits.append(Bit(f"{plural(twice, 'write')} twice", tone="bad"))
    lost = sum(each.ledger.lost for each in rounds)
    if lost:
        bits.append(Bit(f"{count(lost)} lost", tone="bad"))
    if any(each.interrupted or each.problems for each in rounds):
        bits.append(Bit("! see the notes", tone="bad"))
    limited = sum(bool(each.generator.limited) for each in rounds)
    if limited:
        bits.append(Bit(LIMITED if len(rounds) == 1 else f"~ in {limited} of {len(rounds)} rounds", tone="quiet"))
    found = judgements(rounds)
    missed = sum(not each.holds for each in found)
    if not found:
        return bits
    if is_cut(rounds):
        return [*bits, Bit("not judged: interrupted", tone="quiet")]
    text = f"✗ {missed} of {len(found)} missed" if missed else "✓ as expected"
    return [*bits, Bit(text, tone="quiet" if not found[0].is_judged else "bad" if missed else "good")]


def verdicts(by_subject: Mapping[str, Rounds]) -> Sheet:
    """A row for each expectation, with what was measured in each round."""
    found = {name: judgements(rounds) for name, rounds in by_subject.items()}
    keys = dict.fromkeys((each.what, each.expected) for own in found.values() for each in own)
    rows = []
    for what, expected in keys:
        cells = []
        for own in found.values():
            each = next((each for each in own if (each.what, each.expected) == (what, expected)), None)
            if each is None:
                cells.append([Bit(DASH)])
                continue
            tone = "quiet" if not each.is_judged else "good" if each.holds else "bad"
            sign = "✓ " if each.holds else "✗ "
            cells.append(
                [Bit(sign + each.measured[0], tone=tone), *(Bit(more, tone=tone) for more in each.measured[1:])]
            )
        rows.append(Row(what, cells, expected))
    unjudged = [
        name + (" (interrupted)" if is_cut(by_subject[name]) else "")
        for name, own in found.items()
        if own and not own[0].is_judged
    ]
    note = f"Not judged: {', '.join(unjudged)}." if unjudged else ""
    return Sheet("Expectations", list(by_subject), rows, note)


def figures(by_subject: Mapping[str, Rounds]) -> Sheet:
    """The measured phases in figures."""
    medians = [row(rounds) for rounds in by_subject.values()]

    def of(read: Callable[[Result], float]) -> list[Spread | None]:
        return [spread_of(read(each) for each in sound(rounds)) for rounds in by_subject.values()]

    rows = [
        _row("requests", of(lambda each: each.summary.requests), count, "of measured phases"),
        _row("rate", [each.per_second for each in medians], rate),
        _row("success", [each.success_percent for each in medians], percent),
        _row("p50", [each.p50 for each in medians], latency, "of what succeeded"),
        _row("p99", [each.p99 for each in medians], latency),
        _row("p99.9", [each.p99_9 for each in medians], latency),
        _row("slowest", [each.max for each in medians], latency),
        _row("p99 of all", of(lambda each: each.summary.latency_all.p99), latency, "failures too, until known as such"),
    ]
    return Sheet("Success and latency", list(by_subject), rows)


def outcomes(by_subject: Mapping[str, Rounds]) -> Sheet:
    """How often each outcome was seen in measured phases, all rounds together."""
    sums: dict[str, dict[str, int]] = {name: {} for name in by_subject}
    for name, rounds in by_subject.items():
        for result in rounds:
            for word, number in result.summary.counts.items():
                sums[name][word] = sums[name].get(word, 0) + number
    words = sorted({word for own in sums.values() for word in own}, key=lambda word: (not is_answer(word), word))
    rows = [
        Row(outcome(word), [[_share(own.get(word, 0), sum(own.values()))] for own in sums.values()]) for word in words
    ]
    return Sheet("Outcomes", list(by_subject), rows, "What callers saw, in measured phases" + _together(by_subject))


def _share(number: int, total: int) -> Bit:
    return (
        Bit(count(number), percent(100 * number / total) if number < total else "")
        if number
        else Bit("0", tone="quiet")
    )


_LEDGER: tuple[tuple[str, str, bool, str], ...] = (
    ("sent", "sent", False, "requests that left the generator"),
    ("succeeded", "succeeded", False, ""),
    ("failed", "failed", False, "sent, and no success seen"),
    ("failed, though executed", "failed_executed", False, "the origin did the work all the same"),
    ("lost", "lost", True, "a success was seen, and no origin did the work"),
    ("repeated", "repeated", False, "arrived at origins more than once"),
    ("executed twice", "executed_twice", False, "or more often"),
    ("writes", "writes", False, "sent with a method that must not be repeated"),
    ("writes repeated", "writes_repeated", False, ""),
    ("writes executed twice", "writes_executed_twice", True, "must not happen"),
    ("without an id", "unknown", False, "arrivals that are not this run's"),
)


def ledger(by_subject: Mapping[str, Rounds]) -> Sheet:
    """What was sent against what was executed, all rounds together."""
    rows = []
    for label, name, is_grave, about in _LEDGER:
        cells = []
        for rounds in by_subject.values():
            known = [each.ledger for each in rounds if each.ledger.is_known]
            number = sum(getattr(each, name) for each in known)
            tone = "bad" if is_grave and number else "" if number else "quiet"
            cells.append([Bit(count(number), tone=tone) if known else Bit("not known", tone="quiet")])
        rows.append(Row(label, cells, about))
    ratios = [row(rounds).amplification for rounds in by_subject.values()]
    rows.append(_row("arrivals for each sent", ratios, lambda ratio: f"{ratio:.3f}", "1 is no repetition at all"))
    return Sheet("Sent and executed", list(by_subject), rows, "By request id, over whole runs" + _together(by_subject))


def usage(by_subject: Mapping[str, Rounds]) -> Sheet:
    """What the subject took, all its processes together, and how sound the generator was."""
    medians = [row(rounds) for rounds in by_subject.values()]

    def of(read: Callable[[Generator], float]) -> list[Spread | None]:
        return [spread_of(read(each.generator) for each in sound(rounds)) for rounds in by_subject.values()]

    def late(read: Callable[[Percentiles], float]) -> list[Spread | None]:
        known = [[each.generator.lateness for each in sound(rounds)] for rounds in by_subject.values()]
        return [spread_of(read(each) for each in own if each.count) for own in known]

    rows = [
        _row("CPU for each request", [each.cpu_us for each in medians], latency, "of the subject"),
        _row("memory", [each.rss_bytes for each in medians], _size, "resident, of the subject"),
        _row("generator late, p50", late(lambda each: each.p50), latency, "against its own schedule"),
        _row("generator late, p99", late(lambda each: each.p99), latency),
        _row("generator late, most", late(lambda each: each.max), latency),
        _row("generator's cores", of(lambda each: each.cpu), lambda cores: f"{cores:.2f}", "in use while sending"),
        _row("connections", of(lambda each: each.most_connections), count, "open at once, at most"),
    ]
    return Sheet("Resources, and the generator itself", list(by_subject), rows)


def _size(number: float) -> str:
    return size(round(number))


def _row(label: str, spreads: Sequence[Spread | None], number: Number, about: str = "") -> Row:
    return Row(label, [[_spread(each, number)] for each in spreads], about)


def _spread(found: Spread | None, number: Number, before: str = "") -> Bit:
    """The median, and the range where rounds differ in what is told."""
    if found is None:
        return Bit(before + DASH, tone="quiet")
    return Bit(before + number(found.median), _range(number(found.least), number(found.most)))


def _range(least: str, most: str) -> str:
    """`5.4 - 5.74 ms`, with the unit once where it is one; empty when there is no range."""
    if least == most:
        return ""
    unit = most[most.rfind(" ") :] if " " in most else ""
    return f"{least.removesuffix(unit)} {DASH} {most}"


def _together(by_subject: Mapping[str, Rounds]) -> str:
    most = max((len(rounds) for rounds in by_subject.values()), default=0)
    return f", {most} rounds together." if most > 1 else "."
