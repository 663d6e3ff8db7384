"""`meshload explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from loadtest.cli.files import find
from loadtest.cli.perform import check_judged
from loadtest.cli.screen import say
from loadtest.compare import Chosen
from loadtest.report.words import printable
from loadtest.scenario.explain import explain as in_words
from loadtest.subjects import choice


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
    found = find(scenarios)
    check_judged([Chosen(text, scenario, list(scenario.subjects)) for text, scenario in found])
    choice.check([name for _, scenario in found for name in scenario.subjects])
    say(printable("\n\n".join(in_words(scenario) for _, scenario in found)))
