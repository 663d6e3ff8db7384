"""`meshload compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from loadtest.cli.failure import Failure
from loadtest.cli.files import find
from loadtest.cli.options import DEFAULT_OUT, Markdown, Out, Pin
from loadtest.cli.perform import perform
from loadtest.compare import Chosen
from loadtest.report.table import comparison as table
from loadtest.report.table import markdown as as_markdown
from loadtest.subjects import choice

_DEFAULT = "direct,meshproxy,envoy,haproxy"


def compare(
    scenarios: Annotated[
        list[str],
        typer.Argument(metavar="SCENARIO", help="Files, folders, names that `meshload list` shows, or `suite`."),
    ],
    subjects: Annotated[
        str | None,
        typer.Option(
            "--subjects",
            "-s",
            envvar="MESHLOAD_SUBJECTS",
            metavar="NAME,...",
            help="What is compared, with commas between. Default: each scenario's own subjects, "
            f"else {_DEFAULT}. The names: {', '.join(choice.ABOUT)}, http://HOST:PORT.",
        ),
    ] = None,
    rounds: Annotated[
        int,
        typer.Option(
            "--rounds", "-r", min=1, max=100, metavar="N", envvar="MESHLOAD_ROUNDS", help="How often each is run."
        ),
    ] = 1,
    out: Out = DEFAULT_OUT,
    markdown: Markdown = False,
    pin: Pin = True,
) -> None:
    """Run scenarios against several subjects in turns, and put them side by side.

    Medians of the rounds, with their ranges, in one table and on one page.

      meshload compare suite -s direct,meshproxy,envoy,haproxy --rounds 3
    """
    asked = _names(subjects) if subjects else []
    chosen = [
        Chosen(text, scenario, asked or list(scenario.subjects) or _DEFAULT.split(","))
        for text, scenario in find(scenarios)
    ]
    choice.check(list(dict.fromkeys(name for each in chosen for name in each.subjects)))
    perform(chosen, rounds, out, "comparison", as_markdown if markdown else table, pin=pin)


def _names(subjects: str) -> list[str]:
    found = [name for each in subjects.split(",") if (name := each.strip())]
    if not found:
        raise Failure(f"--subjects {subjects!r} names none")
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise Failure(f"--subjects names {', '.join(twice)} twice: --rounds says how often each is run")
    return found
