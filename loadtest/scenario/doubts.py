"""What a careful reader would ask about a scenario that is well formed: each doubt is a sentence, none an error."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loadtest.scenario import figures
from loadtest.scenario.model import MEASURES, WHOLE, Expectation, Fault, Scenario
from loadtest.scenario.references import lives
from loadtest.scenario.units import duration, rate
from loadtest.scenario.words import fault as told
from loadtest.scenario.words import request as request_told
from loadtest.scenario.words import who

_ROUNDING = 1e-6


def doubts(scenario: Scenario) -> list[str]:
    """In the order of a scenario's parts; empty when there are none."""
    found = []
    for origin in scenario.origins:
        if not figures.share(scenario, origin):
            found.append(f"nothing is sent to {origin}")
            continue
        found += _capacity(scenario, origin)
        found += _connections(scenario, origin)
        found += _work(scenario, origin)
    for at, fault in enumerate(scenario.faults):
        found += _fault(scenario, f"faults[{at}]", fault)
    found += _changes(scenario)
    found += _reading(scenario)
    found += _policy(scenario)
    for at, expectation in enumerate(scenario.expect):
        found += _expectation(scenario, f"expect[{at}]", expectation)
    return found


def _capacity(scenario: Scenario, name: str) -> Iterator[str]:
    origin = scenario.origins[name]
    if origin.queue and origin.concurrency is None:
        yield f"origins.{name}.queue has no effect without concurrency"
    each = figures.capacity(origin)
    if each is None:
        return
    for span in figures.spans(scenario):
        offered = span.peak * figures.share(scenario, name)
        if offered > each * origin.instances:
            yield (
                f"{span.title} offers {name} {rate(offered)}, {offered / each / origin.instances:.3g} times the "
                f"{rate(each * origin.instances)} that its instances can do together"
            )


def _connections(scenario: Scenario, name: str) -> Iterator[str]:
    """Little's law: what is under way is the rate times the time (J. D. C. Little, 1961)."""
    origin = scenario.origins[name]
    most = scenario.load.connections
    for span in figures.spans(scenario):
        offered = span.peak * figures.share(scenario, name)
        held_s = figures.held_s(scenario, name)
        open_ = offered * held_s
        each = figures.capacity(origin)
        if each is not None and origin.concurrency is not None and offered > each * origin.instances:
            full = origin.instances * (origin.concurrency + origin.queue)
            open_ = min(offered * scenario.load.timeout, full)
        if open_ > most:
            yield (
                f"{span.title} has about {open_:.0f} requests to {name} under way at a time, more than "
                f"load.connections ({most}): the rest waits for a connection"
            )


def _work(scenario: Scenario, name: str) -> Iterator[str]:
    longest_s = figures.longest_s(scenario.origins[name].service_time)
    policy = scenario.policy
    for field, limit_s in (
        ("load.timeout", scenario.load.timeout),
        ("policy.timeout", policy.timeout),
        ("policy.attempt_timeout", policy.attempt_timeout),
    ):
        if limit_s and limit_s <= longest_s:
            yield f"{field} ({duration(limit_s)}) is not longer than the work of {name} ({duration(longest_s)})"


def _fault(scenario: Scenario, path: str, fault: Fault) -> Iterator[str]:
    windows = fault.windows()
    end_s = scenario.duration_s
    if max(to_s for _, to_s in windows) > end_s:
        last = duration(max(to_s for _, to_s in windows))
        yield f"{path} would last until {last}, but the load ends after {duration(end_s)}"
    measured = [span for span in figures.spans(scenario) if span.phase.measured]
    if not any(_overlap(window, (span.from_s, span.to_s)) for window in windows for span in measured):
        yield f"{path} holds only while nothing is measured"
    if not scenario.load.keep_alive and (fault.reused or fault.idle_close is not None):
        yield f"{path} is about kept connections, and load.keep_alive is false"
    for name in [fault.origin] if fault.origin else scenario.origins:
        yield from _lives(scenario, path, fault, name)
        if figures.share(scenario, name):
            yield from _waiting(scenario, fault, name)
        if fault.truncate and scenario.origins[name].body < 2:
            yield f"{path} cuts answers, and those of {name} have no body to cut"


def _lives(scenario: Scenario, path: str, fault: Fault, name: str) -> Iterator[str]:
    """A fault may be of an instance that a replacement brings or takes away."""
    there = lives(scenario, name)
    for number in fault.instances or ():
        from_s, to_s = there[number]
        if not any(_overlap(window, (from_s, to_s)) for window in fault.windows()):
            when = f"from {duration(from_s)} on" if from_s else f"until {duration(to_s)}"
            if from_s and to_s < math.inf:
                when = f"from {duration(from_s)} to {duration(to_s)}"
            yield f"{path} is about {name} {number}, which is there only {when}"


def _waiting(scenario: Scenario, fault: Fault, name: str) -> Iterator[str]:
    """What a fault of some does to the others: what waits for it holds connections, or its share is theirs to do."""
    origin = scenario.origins[name]
    load = scenario.load
    numbers = len(fault.instances) if fault.instances else origin.instances
    part = min(1.0, numbers / origin.instances)
    peaks = [
        span.peak * figures.share(scenario, name)
        for span in figures.spans(scenario)
        if any(_overlap(window, (span.from_s, span.to_s)) for window in fault.windows())
    ]
    offered = max(peaks, default=0.0)
    subject = who(name, fault.instances, origin.instances if fault.instances else None)
    waits_s = load.timeout if fault.kind in {"hang", "black_hole"} else fault.delay or fault.slow_body or 0.0
    held_s = min(waits_s, load.timeout, max(to_s - from_s for from_s, to_s in fault.windows()))
    open_ = offered * (part * fault.percent / 100 * held_s + figures.held_s(scenario, name))
    if waits_s and open_ > load.connections:
        yield (
            f"while {subject} {told(fault)}, up to {open_:.0f} requests wait at a time when nothing cuts them short, "
            f"more than load.connections ({load.connections}): others will wait for a connection as well"
        )
    each = figures.capacity(origin)
    left = origin.instances - numbers
    if each is not None and fault.kind in WHOLE and each * left < offered <= each * origin.instances and left > 0:
        yield f"while {subject} {told(fault)}, the others can do {rate(each * left)} together of {rate(offered)}"


def _changes(scenario: Scenario) -> Iterator[str]:
    is_away = False
    end_s = scenario.duration_s
    for at, change in sorted(enumerate(scenario.changes), key=lambda each: each[1].at):
        path = f"changes[{at}]"
        if (replace := change.replace) is not None:
            done_s = change.at + replace.lasts_s
            if done_s > end_s:
                yield f"{path} is done after {duration(done_s)}, but the load ends after {duration(end_s)}"
        elif (change.control_plane == "away") == is_away:
            yield f"{path}: the control plane is {'away' if is_away else 'there'} already"
        else:
            is_away = not is_away


def _reading(scenario: Scenario) -> Iterator[str]:
    for request in scenario.load.requests:
        if request.read is None:
            continue
        body = scenario.origins[request.to or scenario.first_origin].body
        for field, limit_s in (("load.timeout", scenario.load.timeout), ("policy.timeout", scenario.policy.timeout)):
            if limit_s and body / request.read >= limit_s:
                taken = duration(body / request.read)
                yield f"{request_told(request)}: that takes {taken}, and {field} is {duration(limit_s)}"


def _policy(scenario: Scenario) -> Iterator[str]:
    policy = scenario.policy
    if policy.retry_codes and not policy.retries:
        yield "policy.retry_codes has no effect while policy.retries is 0"
    if policy.timeout and policy.timeout >= scenario.load.timeout:
        limits = f"{duration(policy.timeout)}, load.timeout {duration(scenario.load.timeout)}"
        yield f"policy.timeout is {limits}: callers give up before it can be seen"
    if policy.timeout and policy.attempt_timeout and policy.attempt_timeout * (policy.retries + 1) > policy.timeout:
        attempts = f"{policy.retries + 1} x {duration(policy.attempt_timeout)}"
        yield f"policy.timeout ({duration(policy.timeout)}) ends a request before all of its attempts ({attempts})"


def _expectation(scenario: Scenario, path: str, expectation: Expectation) -> Iterator[str]:
    end_s = scenario.duration_s
    window = (expectation.from_ or 0.0, end_s if expectation.to is None else expectation.to)
    measured = [span for span in figures.spans(scenario) if span.phase.measured]
    if not any(_overlap(window, (span.from_s, span.to_s)) for span in measured):
        yield f"{path} is of a time in which nothing is measured"
    elif window[1] > end_s:
        yield f"{path} is of a time until {duration(window[1])}, but the load ends after {duration(end_s)}"
    width_s = figures.bin_width(end_s)
    for name, edge_s in (("from", expectation.from_), ("to", expectation.to)):
        if edge_s is not None and edge_s < end_s and abs(edge_s / width_s - round(edge_s / width_s)) > _ROUNDING:
            effect_s = math.ceil(edge_s / width_s) * width_s
            bins = f"results are counted in bins of {duration(width_s)}"
            yield f"{path}.{name} takes effect at {duration(effect_s)}: {bins}"
    if expectation.repeated_writes is not None and not any(each.is_write for each in scenario.load.requests):
        yield f"{path}.repeated_writes: no request is a write"
    for measure in MEASURES:
        bound = getattr(expectation, measure)
        if measure.startswith(("p", "max")) and bound is not None and bound >= scenario.load.timeout:
            yield f"{path}.{measure} always holds: no success is slower than load.timeout"


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1]
