"""What the parts of a scenario say of each other: whether what is named exists, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING

from loadtest.scenario.units import duration

if TYPE_CHECKING:
    from loadtest.scenario.model import Change, Replace, Scenario

MOST_WINDOWS = 10_000
"""Of all faults of a scenario, repetitions included."""
MOST_INSTANCES = 200
"""Of all origins of a scenario, replacements included: every one has an address of its own."""


def lives(scenario: Scenario, origin: str) -> dict[int, tuple[float, float]]:
    """When each instance of an origin is there, [from, to) by number; replacements count on in order of time."""
    found = dict.fromkeys(range(1, scenario.origins[origin].instances + 1), (0.0, inf))
    for change, replace in replacing(scenario, origin):
        found[len(found) + 1] = (change.at, inf)
        if replace.instance in found:
            stops = change.at + (replace.lead if replace.told == "before" else 0.0)
            found[replace.instance] = (found[replace.instance][0], stops)
    return found


def wrong(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """(path, message) of each reference to what is not there."""
    yield from _names(scenario)
    yield from _doubles(scenario)
    windows = sum(fault.count for fault in scenario.faults)
    if windows > MOST_WINDOWS:
        yield "faults", f"at most {MOST_WINDOWS} are allowed, repetitions included, and these are {windows}"
    every = {origin: lives(scenario, origin) for origin in scenario.origins}
    if sum(len(numbers) for numbers in every.values()) > MOST_INSTANCES:
        yield "origins", f"at most {MOST_INSTANCES} instances are allowed, replacements included"
    end = f"the load ends after {duration(scenario.duration_s)}"
    for at, fault in enumerate(scenario.faults):
        if fault.at >= scenario.duration_s:
            yield f"faults[{at}].at", end
        concerned = [fault.origin] if fault.origin in every else list(every)
        least = min(len(every[origin]) for origin in concerned)
        for place, number in enumerate(fault.instances or ()):
            if not 1 <= number <= least:
                yield f"faults[{at}].instances[{place}]", f"there is no instance {number}; allowed: 1 to {least}"
    for at, change in enumerate(scenario.changes):
        if change.at >= scenario.duration_s:
            yield f"changes[{at}].at", end
        replace = change.replace
        if replace is None or (replace.origin or scenario.first_origin) not in every:
            continue
        if reason := _unreplaceable(scenario, change, replace, every[replace.origin or scenario.first_origin]):
            yield f"changes[{at}].replace.instance", reason


def _names(scenario: Scenario) -> Iterator[tuple[str, str]]:
    named = [(f"load.requests[{at}].to", request.to) for at, request in enumerate(scenario.load.requests)]
    named += [(f"faults[{at}].origin", fault.origin) for at, fault in enumerate(scenario.faults)]
    named += [
        (f"changes[{at}].replace.origin", change.replace.origin)
        for at, change in enumerate(scenario.changes)
        if change.replace is not None
    ]
    for path, origin in named:
        if origin is not None and origin not in scenario.origins:
            yield path, f"there is no origin {origin}; allowed: {', '.join(scenario.origins)}"


def _doubles(scenario: Scenario) -> Iterator[tuple[str, str]]:
    lists: list[tuple[str, Sequence[object]]] = [
        ("subjects", scenario.subjects),
        ("load.success", scenario.load.success),
        ("policy.retry_codes", scenario.policy.retry_codes),
    ]
    lists += [(f"faults[{at}].instances", fault.instances or ()) for at, fault in enumerate(scenario.faults)]
    for path, entries in lists:
        for at, entry in enumerate(entries):
            first = entries.index(entry)
            if first != at:
                yield f"{path}[{at}]", f"it is given twice, first in {path}[{first}]"


def _unreplaceable(
    scenario: Scenario, change: Change, replace: Replace, numbers: dict[int, tuple[float, float]]
) -> str | None:
    number = replace.instance
    always = scenario.origins[replace.origin or scenario.first_origin].instances
    then = [each for each, (from_s, _) in numbers.items() if each <= always or from_s < change.at]
    if number not in then:
        return f"there is no instance {number} at {duration(change.at)}; allowed: 1 to {len(then)}"
    origin = replace.origin or scenario.first_origin
    first = next(doing for doing, each in replacing(scenario, origin) if each.instance == number)
    return None if first is change else f"instance {number} is replaced at {duration(first.at)} already"


def replacing(scenario: Scenario, origin: str) -> list[tuple[Change, Replace]]:
    """The replacements of an origin's instances, in order of time."""
    found = [(change, change.replace) for change in scenario.changes if change.replace is not None]
    mine = [each for each in found if (each[1].origin or scenario.first_origin) == origin]
    return sorted(mine, key=lambda each: each[0].at)
