"""`meshload diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loadtest.cli.failure import Failure
from loadtest.cli.screen import say
from loadtest.report.table import differences
from loadtest.results.diff import diff as difference
from loadtest.results.file import FileError, read


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD.json", help="An earlier result.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="What it is held against.")],
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            min=0,
            max=1000,
            envvar="MESHLOAD_TOLERANCE",
            metavar="PERCENT",
            help="Less than this is no difference; nor is what lies within the spread of the rounds.",
        ),
    ] = 10.0,
) -> None:
    """Hold a result against an earlier one. Exit status 1 when something is worse.

    Only what is further apart than the tolerance and the rounds counts.

      meshload diff main.json branch.json --tolerance 15
    """
    try:
        found = difference(read(old), read(new), tolerance)
    except FileError as error:
        raise Failure(str(error)) from None
    say(differences(found))
    raise typer.Exit(int(any(each.is_worse for each in found)))
