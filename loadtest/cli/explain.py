"""`meshload explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from loadtest.cli.files import find
from loadtest.cli.screen import say
from loadtest.report.words import printable
from loadtest.scenario.explain import explain as in_words


def explain(
    scenarios: Annotated[
        list[str],
        typer.Argument(metavar="SCENARIO", help="Files, folders, names that `meshload list` shows, or `suite`."),
    ],
) -> None:
    """Tell a scenario in words, as a timeline, with what looks doubtful in it.

    Nothing is run.

      meshload explain one-503
    """
    say(printable("\n\n".join(in_words(scenario) for _, scenario in find(scenarios))))
