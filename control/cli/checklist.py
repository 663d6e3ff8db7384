"""Checks as a list by section, for people: marks that need no colour, hints below what is not well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from control.cli.screen import console, say
from control.model.check import Check, State
from meshproxy.kit.text import printable

MAX_UNWELL = 10
"""Of one section; the others are counted."""
MAX_NAME = 32

_STYLES: dict[State, str] = {"ok": "green", "warn": "yellow", "fail": "red"}
_SIGNS: dict[State, str] = {"ok": "✓", "warn": "!", "fail": "✗"}
_WORDS: dict[State, str] = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


class _Look(NamedTuple):
    """What the terminal can show."""

    marks: dict[State, str]
    arrow: str
    width: int

    def mark(self, state: State) -> Text:
        return Text("  ").append(self.marks[state], f"bold {_STYLES[state]}").append(" ")


def print_checklist(found: Sequence[Check], *, is_whole: bool) -> None:
    """Print by section, in the order in which they come; `is_whole`: everything, however much it is."""
    screen = console()
    is_plain = screen.options.ascii_only
    look = _Look(_WORDS if is_plain else _SIGNS, "->" if is_plain else "→", screen.width)
    sections: dict[str, list[Check]] = {}
    for check in found:
        sections.setdefault(check.section, []).append(check)
    for title, checks in sections.items():
        say(Text(printable(title), "bold"))
        _print_section(look, checks, is_whole=is_whole)
        say()
    say(_summary(Counter(check.state for check in found)))


def _print_section(look: _Look, checks: Sequence[Check], *, is_whole: bool) -> None:
    unwell = [check for check in checks if check.state != "ok"]
    left_out = set() if is_whole else {id(check) for check in unwell[MAX_UNWELL:]}
    told = [check for check in checks if id(check) not in left_out]
    most = min(MAX_NAME, look.width // 3)
    column = max((size for check in told if (size := cell_len(printable(check.name))) <= most), default=0)
    for i, check in enumerate(told):
        _print_check(look, check, column)
        # What helps against several is said once, below the last of them.
        if check.hint and (i + 1 == len(told) or told[i + 1].hint != check.hint):
            _print_wrapped(look, Text("      ").append(look.arrow, "cyan").append(" "), check.hint)
    if left_out:
        worst: State = "fail" if any(check.state == "fail" for check in unwell[MAX_UNWELL:]) else "warn"
        say(look.mark(worst).append(f"and {len(left_out)} more, which -o wide shows"))


def _print_check(look: _Look, check: Check, column: int) -> None:
    head = look.mark(check.state)
    name = printable(check.name)
    if cell_len(name) > column:
        _print_wrapped(look, head, name)
        head = Text(" " * (cell_len(head.plain) + column))
    else:
        head.append(name + " " * (column - cell_len(name)))
    _print_wrapped(look, head.append("  "), check.message)


def _print_wrapped(look: _Look, head: Text, words: str) -> None:
    """Print words behind a head, and what does not fit on the line below them."""
    indent = cell_len(head.plain)
    lines = Text(printable(words)).wrap(console(), max(look.width - indent, 20)) or [Text()]
    for i, line in enumerate(lines):
        line.rstrip()
        say(Text.assemble(head if i == 0 else " " * indent, line))


def _summary(counts: Counter[State]) -> Text:
    parts = [f"{counts['ok']} ok"]
    if counts["warn"]:
        parts.append(f"{counts['warn']} warning{'s' if counts['warn'] > 1 else ''}")
    if counts["fail"]:
        parts.append(f"{counts['fail']} failed")
    worst: State = "fail" if counts["fail"] else "warn" if counts["warn"] else "ok"
    return Text(", ".join(parts), f"bold {_STYLES[worst]}")
