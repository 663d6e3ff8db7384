"""A scenario in words, as somebody would tell it who has to carry it out."""

from __future__ import annotations

from collections.abc import Iterator

from loadtest.scenario import figures, words
from loadtest.scenario.doubts import doubts
from loadtest.scenario.model import Change, Expectation, Fault, Origin, Scenario, ServiceTime
from loadtest.scenario.references import replacing
from loadtest.scenario.units import duration, rate, size

__all__ = ["doubts", "explain"]


def explain(scenario: Scenario) -> str:
    """What is built, the load, what happens when, what is expected of whom, what is doubtful; lines of plain text."""
    title = f"{scenario.name}: {' '.join(scenario.about.split())}" if scenario.about else scenario.name
    judged = f" of {words.join(scenario.judged)}" if scenario.judged else ""
    parts = [
        ("Built", [_origin(name, origin) for name, origin in scenario.origins.items()]),
        ("Load", list(_load(scenario))),
        ("Timeline", _timeline(scenario) or ["nothing but the load"]),
        ("Asked of every subject that can", [words.policy(scenario.policy)] if words.policy(scenario.policy) else []),
        (f"Expected{judged}", [_expectation(each) for each in scenario.expect]),
        ("Doubtful", doubts(scenario)),
    ]
    lines = [title]
    for heading, told in parts:
        if told:
            lines += ["", heading, *(f"  {line}" for line in told)]
    return "\n".join("".join(each if each.isprintable() else "?" for each in line) for line in lines)


def _origin(name: str, origin: Origin) -> str:
    works = _service_time(origin.service_time)
    together = "any number at once"
    if origin.concurrency is not None:
        together = f"{origin.concurrency} at once and {origin.queue} more waiting"
    each = figures.capacity(origin)
    sums = f": {rate(each)} each, {rate(each * origin.instances)} in sum" if each is not None else ""
    built = f"{words.plural(origin.instances, 'instance')}; {works} for a request, {together}{sums}"
    return f"{name}: {built}; answers of {size(origin.body)}"


def _service_time(work: ServiceTime) -> str:
    if work.uniform is not None:
        return f"{duration(work.uniform[0])} to {duration(work.uniform[1])}"
    if work.exponential is not None:
        return f"{duration(work.exponential)} on average (exponential)"
    return duration(work.fixed or 0.0)


def _load(scenario: Scenario) -> Iterator[str]:
    load = scenario.load
    kept = "" if load.keep_alive else ", a new one for each request"
    if load.mode == "closed":
        over = "a connection of its own" if load.keep_alive else "a new connection each time"
        yield f"closed loop: each caller sends when it was answered, over {over}"
    else:
        spread = "evenly spread" if load.arrivals == "uniform" else "at random moments (Poisson)"
        yield f"open loop: sent when due, {spread}, over at most {load.connections} connections to each origin{kept}"
        if load.busy_poll:
            yield "the generator waits without sleeping (busy_poll)"
    codes = words.join(load.success)
    yield f"{duration(load.timeout)} for each request; {codes} count as success; seed {scenario.seed}"
    for span in figures.spans(scenario):
        yield f"from {duration(span.from_s)} to {duration(span.to_s)}: {words.phase(span.phase)}"
    total = sum(request.weight for request in load.requests)
    for request in load.requests:
        to = f" to {request.to or scenario.first_origin}" if len(scenario.origins) > 1 else ""
        yield f"{100 * request.weight / total:.3g} % {words.request(request)}{to}"


def _timeline(scenario: Scenario) -> list[str]:
    events = [(fault.at, _fault(scenario, fault)) for fault in scenario.faults]
    events += [(change.at, f"at {duration(change.at)}: {_change(scenario, change)}") for change in scenario.changes]
    return [told for _, told in sorted(events, key=lambda event: event[0])]


def _fault(scenario: Scenario, fault: Fault) -> str:
    if fault.every is None or fault.until is None:
        when = f"at {duration(fault.at)} for {duration(fault.for_)}"
    else:
        repeated = f"every {duration(fault.every)} for {duration(fault.for_)}"
        when = f"from {duration(fault.at)} {repeated}, until {duration(fault.until)}"
    origin = fault.origin or (scenario.first_origin if len(scenario.origins) == 1 else None)
    of = scenario.origins[origin].instances if origin and fault.instances else None
    return f"{when}: {words.who(origin, fault.instances, of)} {words.fault(fault)}"


def _change(scenario: Scenario, change: Change) -> str:
    if change.replace is None:
        return words.change(change)
    origin = change.replace.origin or scenario.first_origin
    before = [doing for doing, _ in replacing(scenario, origin)]
    new = scenario.origins[origin].instances + 1 + next(at for at, doing in enumerate(before) if doing is change)
    return f"{words.who(origin, [change.replace.instance])} {words.change(change)}; {origin} {new} comes"


def _expectation(expectation: Expectation) -> str:
    told = words.join(words.expectation(expectation))
    if expectation.from_ is None and expectation.to is None:
        return told
    begin = f"from {duration(expectation.from_)}" if expectation.from_ is not None else ""
    end = f"until {duration(expectation.to)}" if expectation.to is not None else "on"
    return f"{told}, of what is sent {begin} {end}".replace("  ", " ")
