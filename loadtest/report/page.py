"""A comparison as one HTML file that needs nothing else: tables for everyone, plots where scripts run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from loadtest.report import colours, figures, sheets
from loadtest.report.figures import Figure
from loadtest.report.marks import Mark, marks, phase_name
from loadtest.report.rounds import Rounds, by_scenario, drawn, most_rounds, subjects, unsound, verdict
from loadtest.report.sheets import Sheet
from loadtest.report.words import count, seconds
from loadtest.results.model import Comparison, PhaseSpan, Result
from loadtest.scenario import words
from loadtest.scenario.explain import explain
from loadtest.scenario.load import ScenarioError, parse
from loadtest.scenario.units import rate

_MOST_TIMES = 6


@dataclass(frozen=True)
class Plot:
    title: str
    about: str
    figure: Figure


@dataclass(frozen=True)
class Chapter:
    """One scenario."""

    name: str
    about: str
    load: list[str]
    happened: list[tuple[Mark, str]]
    """Each mark, and when it held."""
    warnings: list[str]
    drawn: str
    """Which rounds the curves are of; empty when there is but one."""
    sheets: dict[str, Sheet]
    plots: list[Plot]
    missing: str
    """Why plots are not there; empty when all are."""
    configurations: list[tuple[str, dict[str, str]]]
    told: str
    text: str
    examples: list[tuple[str, str, list[str]]] = field(default_factory=list)
    """Subject, what for, and ids of requests."""


def render(comparison: Comparison) -> str:
    """The page: readable from a file, without a network, also where scripts do not run."""
    names = subjects(comparison)
    lines = colours.subjects(names)
    scenarios = by_scenario(comparison)
    chapters = [_chapter(name, by_subject, lines) for name, by_subject in scenarios.items()]
    return _environment().get_template("page.html.jinja").render(
        title=_title(comparison, names),
        facts=_facts(comparison),
        verdict=verdict(comparison),
        interrupted=comparison.interrupted,
        failures=comparison.failures,
        glance=sheets.comparison(comparison),
        chapters=chapters,
        plotly=_plotly(),
    )  # fmt: skip


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("loadtest.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["seconds"] = seconds
    return found


@cache
def _plotly() -> Markup:
    """The library itself. Its text is put between script tags, which it must not end."""
    text = resources.files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")
    return Markup(text.replace("</script", "<\\/script").replace("<!--", "<\\!--"))  # noqa: S704 - a library's own code


def _title(comparison: Comparison, names: Sequence[str]) -> str:
    scenarios = list(by_scenario(comparison))
    if not scenarios:
        return "No results"
    what = scenarios[0] if len(scenarios) == 1 else words.plural(len(scenarios), "scenario")
    against = words.join(names) if len(names) <= 4 else words.plural(len(names), "subject")
    return f"{what}: {against}"


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    """What was run, when, on what."""
    results = comparison.results
    runs = words.plural(len(results), "run")
    most = most_rounds(comparison)
    versions: dict[str, dict[str, None]] = {}
    for result in results:
        for name, version in result.versions.items():
            versions.setdefault(name, {})[version] = None
    cores = dict.fromkeys(each.cores for each in results)
    facts = [
        ("Run", comparison.started.replace("T", " ").replace("+00:00", " UTC").replace("Z", " UTC")),
        ("Runs", runs + (f", {most} rounds in turns" if most > 1 else "") + f", {_total(results)} of load in all"),
        ("Machine", " or ".join(words.plural(each, "core") for each in cores)),
        ("Versions", ", ".join(f"{name} {' and '.join(found)}" for name, found in versions.items())),
    ]
    return [(term, text) for term, text in facts if text]


def _total(results: Sequence[Result]) -> str:
    return seconds(sum(each.duration_s for each in results))


def _chapter(name: str, by_subject: dict[str, Rounds], lines: dict[str, colours.Line]) -> Chapter:
    shown = [drawn(rounds) for rounds in by_subject.values()]
    frame = shown[0]
    about, told = _told(frame.text)
    several = any(len(rounds) > 1 for rounds in by_subject.values())
    plots, missing = _plots(shown, lines)
    return Chapter(
        name=name,
        about=about,
        load=[_phase(each) for each in frame.phases],
        happened=[(each, _times(each)) for each in marks(frame.windows)],
        warnings=[line for rounds in by_subject.values() for line in unsound(rounds)],
        drawn=", ".join(f"{each.subject}: round {each.round} of {len(by_subject[each.subject])}" for each in shown)
        if several
        else "",
        sheets={
            "verdicts": sheets.verdicts(by_subject),
            "figures": sheets.figures(by_subject),
            "outcomes": sheets.outcomes(by_subject),
            "ledger": sheets.ledger(by_subject),
            "usage": sheets.usage(by_subject),
        },
        plots=plots,
        missing=missing,
        configurations=[(each.subject, each.configuration) for each in shown if each.configuration],
        told=told,
        text=frame.text,
        examples=[
            (each.subject, what.replace("_", " "), ids)
            for each in shown
            for what, ids in each.ledger.examples.items()
            if ids
        ],
    )


def _told(text: str) -> tuple[str, str]:
    """What a scenario's file says of itself, and the file in words; empty when this version cannot read it."""
    try:
        scenario = parse(text, "scenario")
    except ScenarioError:
        return "", ""
    return scenario.about, explain(scenario)


_PLOTS: tuple[tuple[str, str, Callable[[Any, Any], Figure | None]], ...] = (
    (
        "Latency over time",
        """From the moment a request was due to the end of its answer, at the moment it was due. Logarithmic; no line
        where nothing succeeded.""",
        figures.latency_over_time,
    ),
    (
        "Latency by percentile",
        """So many percent of the successes were answered within so much time. Both logarithmic: every mark to the right
        is ten times rarer.""",
        figures.latency_by_percentile,
    ),
    (
        "Success and errors over time",
        """What became of the requests that were due at a moment. Press a name to hide it: without the successes, rare
        errors are seen larger.""",
        lambda shown, _: figures.outcomes_over_time(shown),
    ),
    (
        "Traffic of each instance over time",
        "What arrived at the origin's instances, repetitions included.",
        lambda shown, _: figures.traffic_over_time(shown),
    ),
)


def _plots(shown: Sequence[Result], lines: dict[str, colours.Line]) -> tuple[list[Plot], str]:
    found = [(title, about, draw(shown, lines)) for title, about, draw in _PLOTS]
    absent = [title.lower() for title, _, figure in found if figure is None]
    missing = f"Nothing was recorded that could be drawn as {words.join(absent)}." if absent else ""
    return [Plot(title, about, figure) for title, about, figure in found if figure is not None], missing


def _phase(phase: PhaseSpan) -> str:
    span = f"{seconds(phase.from_s)} to {seconds(phase.to_s)}"
    if phase.callers:
        how = words.plural(phase.callers, "caller")
    elif not phase.rate_from and not phase.rate_to:
        how = "closed loop"
    elif phase.rate_from == phase.rate_to:
        how = rate(phase.rate_from)
    else:
        how = f"{rate(phase.rate_from)} to {rate(phase.rate_to)}"
        how += f" in {phase.steps} steps" if phase.steps else ""
    return f"{phase_name(phase)}: {how}, {span}"


def _times(mark: Mark) -> str:
    times = [
        f"{seconds(begin)} to {seconds(end)}" if end > begin else f"at {seconds(begin)}" for begin, end in mark.spans
    ]
    if len(times) > _MOST_TIMES:
        return f"{count(len(times))} times: {times[0]}, {times[1]}, ... {times[-1]}"
    return ", ".join(times)
