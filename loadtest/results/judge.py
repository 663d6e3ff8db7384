"""What was expected against what was measured. What was not measured does not hold."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loadtest.results.model import Ledger, Verdict
from loadtest.results.sums import Part, Sums
from loadtest.scenario.model import Expectation, Scenario
from loadtest.scenario.units import duration

_LEVELS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9, "max": 100.0}
_NAMES = {"p99_9": "p99.9", "max": "slowest"}
_NOTHING = "nothing was measured"


def is_judged(scenario: Scenario, subject: str) -> bool:
    """Whether the expectations are for this subject: by the beginning of its name."""
    return not scenario.judged or subject.startswith(tuple(scenario.judged))


def judge(scenario: Scenario, sums: Sums, ledger: Ledger) -> list[Verdict]:
    """Every measure of every expectation, in their order."""
    return [verdict for expectation in scenario.expect for verdict in _judge(expectation, sums, ledger)]


def _judge(expectation: Expectation, sums: Sums, ledger: Ledger) -> Iterator[Verdict]:
    when = _when(expectation)
    levels = {name: limit_s for name in _LEVELS if (limit_s := getattr(expectation, name)) is not None}
    if expectation.success is not None or levels:
        from_s = expectation.from_ or 0.0
        part = sums.between(from_s, math.inf if expectation.to is None else expectation.to)
        if expectation.success is not None:
            yield _success(expectation.success, part, when)
        for name, limit_s in levels.items():
            yield _latency(name, limit_s, part, when)
    if expectation.repeated_writes is not None:
        yield _repeated(expectation.repeated_writes, ledger)
    if expectation.lost is not None:
        yield _whole("lost successes", expectation.lost, ledger, ledger.lost)


def _when(expectation: Expectation) -> str:
    """`, 5 s to 10 s` after what is measured; empty for all of it."""
    if expectation.from_ is None and expectation.to is None:
        return ""
    until = "the end" if expectation.to is None else duration(expectation.to)
    return f", {duration(expectation.from_ or 0.0)} to {until}"


def _success(least: float, part: Part, when: str) -> Verdict:
    measured = part.success_percent
    holds = part.known > 0 and measured >= least
    text = _percent(measured, least) if part.known else _NOTHING
    return Verdict(f"success{when}", f"at least {least:g} %", text, holds)


def _percent(measured: float, least: float) -> str:
    """Cut as in every table, with as many decimals as it takes to be on the right side of what was expected."""
    for decimals in range(2, 6):
        text = f"{math.floor(measured * 10**decimals + 1e-6) / 10**decimals:.{decimals}f}"
        if (float(text) >= least) == (measured >= least):
            break
    return f"{text} %"


def _latency(name: str, limit_s: float, part: Part, when: str) -> Verdict:
    what, expected = f"{_NAMES.get(name, name)}{when}", f"at most {duration(limit_s)}"
    if not part.ok.count:
        return Verdict(what, expected, "no success" if part.known else _NOTHING, holds=False)
    us = part.ok.at([_LEVELS[name]])[0]
    holds = us <= limit_s * 1e6
    text = duration(us / 1e6)
    if not holds and text == duration(limit_s):
        text = f"{us} us"
    return Verdict(what, expected, text, holds)


def _repeated(most: int, ledger: Ledger) -> Verdict:
    """Something late may have been a second execution of a write that was compared before."""
    verdict = _whole("writes executed twice", most, ledger, ledger.writes_executed_twice)
    if ledger.late and ledger.writes and verdict.holds:
        verdict.holds = False
        verdict.measured += f" or more: in {ledger.late} chunks of ids something arrived after they were compared"
    return verdict


def _whole(what: str, most: int, ledger: Ledger, measured: int) -> Verdict:
    """Of a whole run, by its ledger."""
    expected = f"at most {most}" if most else "none"
    if not ledger.is_known:
        return Verdict(what, expected, "not known: no origin told what it executed", holds=False)
    if not ledger.sent:
        return Verdict(what, expected, _NOTHING, holds=False)
    return Verdict(what, expected, str(measured), measured <= most)
