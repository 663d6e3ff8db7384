"""A scenario as spans of time: its phases, and the windows in which something was wrong or changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadtest.results.model import PhaseSpan, Window
from loadtest.scenario import figures, words
from loadtest.scenario.model import Change, Fault, Scenario

CONTROL_PLANE = "control_plane"


def phases(scenario: Scenario) -> list[PhaseSpan]:
    """One after the other; those without a name are called by their number."""
    return [_phase(span) for span in figures.spans(scenario)]


def _phase(span: figures.Span) -> PhaseSpan:
    phase = span.phase
    return PhaseSpan(
        name=phase.name or f"phase {span.number}",
        from_s=span.from_s,
        to_s=span.to_s,
        measured=phase.measured,
        rate_from=phase.from_ if phase.from_ is not None else phase.rate or 0.0,
        rate_to=phase.to if phase.to is not None else phase.rate or 0.0,
        steps=phase.steps or 0,
        callers=phase.callers or 0,
    )


def windows(scenario: Scenario) -> list[Window]:
    """In the order of their beginning, cut at the end of the load. Without `origin` a window is about all of several.

    `what` is a predicate: who it is about stands in `origin` and `instances`.
    """
    only = scenario.first_origin if len(scenario.origins) == 1 else ""
    found = [window for fault in scenario.faults for window in _fault(fault, fault.origin or only)]
    for change in scenario.changes:
        found.extend(_change(change, scenario))
    end = scenario.duration_s
    for window in found:
        window.to_s = min(window.to_s, end)
    return sorted((window for window in found if window.from_s < end), key=lambda window: window.from_s)


def phase_at(scenario: Scenario, now_s: float) -> str:
    """The name of the phase of this moment; empty before and after the load."""
    return next((phase.name for phase in phases(scenario) if phase.from_s <= now_s < phase.to_s), "")


def faults_at(found: Sequence[Window], now_s: float) -> list[str]:
    """What of these holds at this moment, with who it is about: `echo 1 hangs`; each once."""
    told = [sentence(window) for window in found if window.from_s <= now_s < window.to_s]
    return list(dict.fromkeys(told))


def sentence(window: Window) -> str:
    """What holds in a window, with who it is about: `echo 1 hangs`."""
    if window.kind == CONTROL_PLANE:
        return window.what
    return f"{words.who(window.origin, window.instances)} {window.what}"


def _fault(fault: Fault, origin: str) -> Iterator[Window]:
    what = words.fault(fault)
    for from_s, to_s in fault.windows():
        yield Window(what, fault.kind, from_s, to_s, origin, list(fault.instances or ()))


def _change(change: Change, scenario: Scenario) -> Iterator[Window]:
    """A replacement lasts until its grace is over; the control plane is away until it is back, which is no window."""
    if change.replace is not None:
        replace = change.replace
        origin = replace.origin or scenario.first_origin
        end = change.at + replace.lasts_s
        yield Window(words.change(change), "replace", change.at, end, origin, [replace.instance])
    elif change.control_plane == "away":
        back = [each.at for each in scenario.changes if each.control_plane == "back" and each.at >= change.at]
        end = min(back, default=scenario.duration_s)
        yield Window(words.change(change), CONTROL_PLANE, change.at, end)
