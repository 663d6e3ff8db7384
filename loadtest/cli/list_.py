"""`meshload list`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from loadtest.cli.files import ALL, find
from loadtest.cli.screen import say
from loadtest.report.words import printable
from loadtest.scenario.units import duration
from loadtest.subjects import choice


def list_(
    where: Annotated[
        str,
        typer.Argument(metavar="DIR", help="A folder of scenarios, or a file; default: those that come with meshload."),
    ] = ALL,
) -> None:
    """Show the scenarios that there are, and the subjects that they can be run against."""
    found = find([where])
    scenarios = Table(box=None, pad_edge=False)
    for title in ("SCENARIO", "TIME", "WHAT"):
        scenarios.add_column(title, overflow="fold")
    for _, scenario in found:
        scenarios.add_row(scenario.name, duration(scenario.duration_s), Text(printable(scenario.about.strip())))
    together = f"\ntogether {duration(sum(scenario.duration_s for _, scenario in found))} of load\n"
    subjects = Table(box=None, pad_edge=False)
    for title in ("SUBJECT", "WHAT"):
        subjects.add_column(title, overflow="fold")
    for name, about in choice.ABOUT.items():
        subjects.add_row(name, about)
    say(Group(scenarios, together, subjects))
