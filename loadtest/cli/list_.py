"""`meshload list`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from loadtest.cli.files import ALL, find
from loadtest.scenario.units import duration
from loadtest.subjects import choice


def list_(
    where: Annotated[
        str, typer.Argument(metavar="[DIR]", help="A folder of scenarios; default: those that come with meshload.")
    ] = ALL,
) -> None:
    """Show the scenarios that there are, and the subjects that they can be run against."""
    console = Console(highlight=False)
    found = find([where])
    table = Table("SCENARIO", "TIME", "WHAT", box=None, pad_edge=False)
    for _, scenario in found:
        table.add_row(scenario.name, duration(scenario.duration_s), scenario.about.strip())
    console.print(table)
    console.print(f"\ntogether {duration(sum(scenario.duration_s for _, scenario in found))} of load\n")
    table = Table("SUBJECT", "WHAT", box=None, pad_edge=False)
    for name, about in choice.ABOUT.items():
        table.add_row(name, about)
    console.print(table)
