"""Tables for terminals of any width: what does not fit beside each other stands below each other. And for READMEs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil

from rich import box
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from loadtest.report import sheets
from loadtest.report.rounds import broken, by_scenario, unsound, verdict
from loadtest.report.sheets import Bit, Sheet
from loadtest.report.words import DASH, latency, percent, printable, seconds
from loadtest.results.diff import Difference, Measure
from loadtest.results.medians import Spread
from loadtest.results.model import Comparison, Result
from loadtest.scenario.units import rate, size
from loadtest.scenario.words import plural

_TONES = {"good": "green", "bad": "bold red", "quiet": "dim", "": ""}
_KINDS = {"worse": "bold red", "better": "green", "warning": "yellow", "incomparable": "yellow"}
_PADDING = 2
_MOST_REASONS = 1


def single(result: Result) -> RenderableType:
    """One run: in figures, by outcome, what was executed, and whether it is as expected."""
    by_subject = {result.subject: [result]}
    head = f"{result.scenario} against {result.subject}, {seconds(result.duration_s)} of load"
    asked = (sheets.figures, sheets.ledger, sheets.outcomes, sheets.usage)
    parts: list[RenderableType] = [
        _text(head, "bold"),
        Columns(
            [_table(sheet.title, sheet, sheet.columns) for sheet in (make(by_subject) for make in asked)],
            padding=(1, 4, 0, 0),
        ),
    ]
    if result.verdicts:
        parts += [Text(), _expectations(result)]
    return Group(*parts, *_warnings(unsound([result])), _text(_said(Comparison(result.schema, "", [result])), "bold"))


def _expectations(result: Result) -> Table:
    other = " (not judged: interrupted)" if result.interrupted else "" if result.is_judged else " (of other subjects)"
    table = _empty(f"Expectations{other}")
    for name in ("", "expected", "measured"):
        table.add_column(name, justify="right" if name else "left", overflow="fold")
    for each in result.verdicts:
        tone = "quiet" if other else "good" if each.holds else "bad"
        sign = "✓" if each.holds else "✗"
        table.add_row(_text(each.what), _text(each.expected), _text(f"{each.measured} {sign}", _TONES[tone]))
    return table


def comparison(found: Comparison) -> RenderableType:
    """Scenarios by subjects, and the verdict."""
    return Group(_Folding(sheets.comparison(found)), *_warnings(_notes(found)), _text(_said(found), "bold"))


def _notes(comparison_: Comparison) -> list[str]:
    together = [(name, rounds) for name, subjects in by_scenario(comparison_).items() for rounds in subjects.values()]
    found = [f"{name}, {line}" for name, rounds in together for line in broken(rounds)]
    limited = [each for each in comparison_.results if each.generator.limited]
    if limited:
        late_us = max(each.generator.lateness.p99 for each in limited)
        late = f" (late by up to {latency(late_us)} at p99)" if late_us else ""
        reasons = list(dict.fromkeys(reason for each in limited for reason in each.generator.limited))
        more = f"; and {plural(len(reasons) - _MOST_REASONS, 'more reason')}" if len(reasons) > _MOST_REASONS else ""
        found.append(
            f"{sheets.LIMITED}: in {len(limited)} of {plural(len(comparison_.results), 'run')} the generator itself "
            f"was the limit{late}, and some of the latency may be its own: {'; '.join(reasons[:_MOST_REASONS])}{more}. "
            "The page tells of each run."
        )
    return found


def _said(found: Comparison) -> str:
    return verdict(found) + (" Interrupted: not everything was run." if found.interrupted else "")


def _warnings(lines: Iterable[str]) -> list[RenderableType]:
    return [_text(f"! {line}", "yellow") for line in lines]


class _Folding:
    """A sheet as a table; as several, with the same rows and as many columns in each, when it is too wide."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        sheet = self._sheet
        labels = max((len(row.label) for row in sheet.rows), default=0) + _PADDING
        widths = [
            max(len(name), *(_width(row.cells[number]) for row in sheet.rows), 0) + _PADDING
            for number, name in enumerate(sheet.columns)
        ]
        fitting = max(1, (options.max_width - labels) // max(widths, default=1))
        tables = max(1, ceil(len(widths) / fitting))
        each = max(1, ceil(len(widths) / tables))
        for first in range(0, max(1, len(widths)), each):
            if first:
                yield Text()
            yield _table("" if first else sheet.title, sheet, sheet.columns[first : first + each], first)
        if sheet.note:
            yield Text()
            yield _text(sheet.note, "dim")


def _width(cell: Sequence[Bit]) -> int:
    return max(max(len(bit.text), len(bit.spread) + 2) for bit in cell)


def _empty(title: str) -> Table:
    return Table(
        title=_text(title, "bold") if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _PADDING, 0, 0),
    )


def _table(title: str, sheet: Sheet, columns: Sequence[str], first: int = 0) -> Table:
    """The sheet's `columns`, of which the first has number `first`."""
    table = _empty(title)
    table.add_column("", overflow="fold")
    for name in columns:
        table.add_column(_text(name), justify="right", overflow="fold")
    is_tall = any(len(cell) > 1 for row in sheet.rows for cell in row.cells)
    for row in sheet.rows:
        cells = row.cells[first : first + len(columns)]
        table.add_row(_text(row.label), *map(_cell, cells), end_section=is_tall)
    return table


def _cell(cell: Sequence[Bit]) -> Text:
    lines = []
    for bit in cell:
        lines.append(_text(bit.text, _TONES[bit.tone]))
        if bit.spread:
            lines.append(_text(f"({bit.spread})", "dim"))
    return Text("\n").join(lines)


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style)


def differences(found: Sequence[Difference]) -> RenderableType:
    """What is worse or better than in earlier results, and what cannot be told."""
    if not found:
        return _text("Nothing differs beyond the tolerance and the spread of the rounds.")
    table = _empty("Later against earlier")
    for name in ("", "what", "earlier", "later", "change"):
        table.add_column(name, justify="left" if name in {"", "what"} else "right", overflow="fold")
    notes = []
    for each in found:
        where = " ".join(part for part in (each.scenario, each.subject) if part)
        style = _KINDS.get(each.kind, "")
        if each.text or each.measure is None:
            kind = "" if each.kind.startswith("only") else each.kind
            notes.append(_text(": ".join(part for part in (kind, where, each.text) if part), style))
            continue
        figures = [_text(_figure(spread, each.measure)) for spread in (each.old, each.new)]
        table.add_row(_text(where), _text(each.measure.name), *figures, _text(f"{each.change} {each.kind}", style))
    return Group(*([table] if table.row_count else []), *notes)


_UNITS: Mapping[str, Callable[[float], str]] = {
    "%": percent,
    "us": latency,
    "/s": rate,
    "B": lambda number: size(round(number)),
    "": lambda number: f"{number:g}",
}


def _figure(found: Spread | None, measure: Measure) -> str:
    return DASH if found is None else _UNITS[measure.unit](found.median)


def markdown(found: Comparison) -> str:
    """Scenarios by subjects for a README: success and p99, with ranges, and what is wrong in bold."""
    sheet = sheets.comparison(found)
    lines = [
        "| scenario | " + " | ".join(map(_escaped, sheet.columns)) + " |",
        "|:---|" + "---:|" * len(sheet.columns),
    ]
    lines += [
        f"| {_escaped(row.label)} | "
        + " | ".join("<br>".join(_marked(bit) for bit in cell if _counts(bit)) for cell in row.cells)
        + " |"
        for row in sheet.rows
    ]
    notes = [f"- {_escaped(note)}" for note in _notes(found)]
    return "\n".join([*lines, "", f"{sheet.note} {_escaped(_said(found))}", *([""] if notes else []), *notes])


def _counts(bit: Bit) -> bool:
    """A document tells figures and what is wrong; what is as it should be needs no words there."""
    return bit.tone != "good" and not (bit.tone == "quiet" and bit.text.startswith("✓"))


def _marked(bit: Bit) -> str:
    text = _escaped(bit.text + (f" ({bit.spread})" if bit.spread else ""))
    return f"**{text}**" if bit.tone == "bad" else text


def _escaped(text: str) -> str:
    for sign in "\\|<>*`[]_":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
