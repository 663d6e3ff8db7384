"""What goes to the terminal: lines, tables and pages. Plain when it is no terminal; NO_COLOR is honoured."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cache

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from meshproxy.kit.text import printable

_GOOD = frozenset({"yes", "true", "synced", "ready"})
_WORSE = frozenset({"behind", "unready", "serving", "terminating", "unknown", "probing", "waiting"})
_BAD = frozenset({"no", "false", "refused", "notready", "ejected", "stalled"})
_GAP = "   "
_PIPE_WIDTH = 1000
"""Where no terminal is, lines are whole."""


@cache
def console() -> Console:
    screen = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    if not screen.is_terminal:
        screen.width = _PIPE_WIDTH
    return screen


def say(text: str | Text = "") -> None:
    """Print one line on standard output."""
    console().print(text)


def warn(text: str) -> None:
    """Print on standard error; the text's own line breaks stay."""
    sys.stderr.write("".join(f"{printable(line)}\n" for line in text.split("\n")))


def coloured(cell: str) -> Text:
    """A cell whose first word is a state gets its colour."""
    text = printable(cell)
    word = text.partition(" ")[0].strip(":,").lower()
    style = "green" if word in _GOOD else "yellow" if word in _WORSE else "red" if word in _BAD else ""
    return Text(text, style)


class Columns:
    """Aligns rows that come one after the other: a column never gets narrower than it was."""

    __slots__ = ("_indent", "_widths")

    def __init__(self, indent: int = 0) -> None:
        self._indent = " " * indent
        self._widths: list[int] = []

    def print(self, rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> None:
        """Print rows, below their header where one is given; what is empty shows as `-`."""
        cells = [[printable(cell) or "-" for cell in row] for row in rows]
        self._widen([list(header), *cells])
        if header:
            self._line(Text(cell, "bold") for cell in header)
        for row in cells:
            self._line(coloured(cell) for cell in row)

    def _widen(self, rows: list[list[str]]) -> None:
        for row in rows:
            self._widths += [0] * (len(row) - len(self._widths))
            for i, cell in enumerate(row):
                self._widths[i] = max(self._widths[i], cell_len(cell))

    def _line(self, cells: Iterable[Text]) -> None:
        line = Text(self._indent)
        for i, cell in enumerate(cells):
            line.append_text(cell)
            line.append(" " * (self._widths[i] - cell_len(cell.plain)) + _GAP)
        line.rstrip()
        say(line)


class Page:
    """A page of fields and sections, as `describe` shows an object."""

    __slots__ = ("_width",)

    def __init__(self, width: int = 18) -> None:
        self._width = width

    def field(self, label: str, value: str, indent: int = 0) -> None:
        """Print `Label:   value`; an empty value shows as `-`."""
        line = Text(" " * indent)
        line.append(f"{label}:".ljust(self._width - indent - 1) + " ", "bold" if indent == 0 else "")
        line.append_text(coloured(value or "-"))
        say(line)

    def fields(self, label: str, values: Iterable[str]) -> None:
        """Print the values under each other, the label before the first."""
        for i, value in enumerate(list(values) or [""]):
            if i == 0:
                self.field(label, value)
            else:
                say(Text(" " * self._width).append_text(coloured(value)))

    def section(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], none: str = "none") -> None:
        """Print a table below a title, or what is to be said when it has no row."""
        say()
        line = Text(f"{title}:", "bold")
        if not rows:
            line.append(f" {none}", "not bold")
        say(line)
        if rows:
            Columns(2).print(rows, header)
