"""Parts of a scenario as people say them. Faults and changes are predicates: who it is about stands before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from loadtest.scenario.model import Change, Expectation, Fault, Phase, Policy, Replace, Request
from loadtest.scenario.units import duration, rate, size

_KINDS: dict[str, Callable[[Fault], str]] = {
    "status": lambda fault: f"answers {fault.status}",
    "delay": lambda fault: f"answers {duration(fault.delay or 0)} later",
    "hang": lambda _: "hangs",
    "slow_body": lambda fault: f"takes {duration(fault.slow_body or 0)} to send a body",
    "truncate": lambda _: "closes the connection in the middle of the body",
    "reset": lambda fault: _ended("resets", fault.reset),
    "close": lambda fault: _ended("closes", fault.close),
    "idle_close": lambda fault: f"closes kept connections {duration(fault.idle_close or 0)} after the answer",
    "refuse": lambda _: "refuses connections",
    "black_hole": lambda _: "is a black hole",
}


def _ended(verb: str, when: str | None) -> str:
    return f"{verb} the connection {when} the work"


def fault(fault: Fault) -> str:
    """What an instance does that has it: `answers 503 in 30 % of requests`, `hangs`."""
    share = "" if fault.percent == 100 else f" in {fault.percent:g} % of requests"
    if fault.reused:
        share = f"{share} on reused connections" if share else " on reused connections"
    return _KINDS[fault.kind](fault) + share


def change(change: Change) -> str:
    """What happens; of a replacement, what happens to the instance: `is replaced in order (...)`."""
    if change.replace is not None:
        return _replaced(change.replace)
    return "the control plane is killed" if change.control_plane == "away" else "the control plane is started again"


def _replaced(replace: Replace) -> str:
    lead = duration(replace.lead)
    grace = f"{duration(replace.grace)} of grace"
    if replace.told == "before":
        return f"is replaced in order (told {lead} before it stops, {grace})"
    return f"is replaced late (told {lead} after it stopped, {grace})"


def who(origin: str | None, instances: Sequence[int] | None, of: int | None = None) -> str:
    """Whom it is about, in the singular: `echo 1`, `each of echo 1 and 2`, `every instance of echo`, `every instance`.

    Without an origin, or instances, all are meant. `of`, how many there are, is told beside numbers: `echo 1 of 4`.
    """
    if not instances:
        return f"every instance of {origin}" if origin else "every instance"
    numbers = join([str(number) for number in instances])
    total = f" of {of}" if of is not None else ""
    if not origin:
        return f"every instance numbered {numbers}{total}"
    return f"{origin} {numbers}{total}" if len(instances) == 1 else f"each of {origin} {numbers}{total}"


def phase(phase: Phase) -> str:
    """`warm-up: 300/s (not measured)`, `100/s to 1000/s in 4 steps`, `32 callers`."""
    if phase.callers is not None:
        what = plural(phase.callers, "caller")
    elif phase.rate is not None:
        what = rate(phase.rate)
    else:
        what = f"{rate(phase.from_ or 0)} to {rate(phase.to or 0)}" + (
            f" in {phase.steps} steps" if phase.steps else ""
        )
    name = f"{phase.name}: " if phase.name else ""
    return name + what + ("" if phase.measured else " (not measured)")


def request(request: Request) -> str:
    """`POST /orders with 256 B, the answer read at 64 KiB a second`; where it goes is not told."""
    body = len(request.text.encode()) if request.text is not None else request.body
    sent = f" with {size(body)}" if body else ""
    read = f", the answer read at {size(request.read)} a second" if request.read is not None else ""
    return f"{request.method} {request.path}{sent}{read}"


def policy(policy: Policy) -> str:
    """What a subject is asked to do: `2 s for a request, ...`; empty when nothing."""
    parts = []
    if policy.timeout is not None:
        parts.append(f"{duration(policy.timeout)} for a request")
    if policy.attempt_timeout is not None:
        parts.append(f"{duration(policy.attempt_timeout)} for each attempt")
    if policy.retries:
        codes = f", also after {join([str(code) for code in policy.retry_codes])}" if policy.retry_codes else ""
        parts.append(f"at most {plural(policy.retries, 'repetition')}{codes}")
    return ", ".join(parts)


def expectation(expectation: Expectation) -> list[str]:
    """Its measures, one by one: `at least 99.9 % of requests succeed`, `p99 at most 50 ms`."""
    found = []
    if expectation.success is not None:
        least = f"at least {expectation.success:g} % of requests succeed"
        found.append("every request succeeds" if expectation.success == 100 else least)
    for field, name in (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99_9", "p99.9"), ("max", "the slowest")):
        bound = getattr(expectation, field)
        if bound is not None:
            found.append(f"{name} at most {duration(bound)}")
    for number, noun, what in (
        (expectation.repeated_writes, "write", "executed twice"),
        (expectation.lost, "request", "answered with success and not executed"),
    ):
        if number is not None:
            found.append(f"at most {plural(number, noun)} {what}" if number else f"no {noun} {what}")
    return found


def join(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(", ".join(words).rsplit(", ", 1)) if len(words) > 1 else "".join(words)


def plural(number: int, noun: str) -> str:
    """`1 caller`, `2 callers`."""
    return f"{number} {noun if number == 1 else noun + 's'}"
