"""`meshload page`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loadtest.cli.failure import Failure
from loadtest.cli.options import Markdown
from loadtest.cli.screen import aside, say
from loadtest.report.page import render
from loadtest.report.table import markdown as as_markdown
from loadtest.results.file import FileError, put, read
from loadtest.results.model import SCHEMA, Comparison


def page(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT.json", help="What earlier calls wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", envvar="MESHLOAD_PAGE", metavar="FILE", help="The page.")] = Path(
        "page.html"
    ),
    markdown: Markdown = False,
) -> None:
    """Make a page of earlier results, of several files together if you like."""
    try:
        read_ = [read(path) for path in results]
    except FileError as error:
        raise Failure(str(error)) from None
    together = Comparison(
        SCHEMA,
        min(each.started for each in read_),
        [result for each in read_ for result in each.results],
        [failure for each in read_ for failure in each.failures],
        any(each.interrupted for each in read_),
    )
    try:
        put(render(together).encode(), out)
    except FileError as error:
        raise Failure(str(error)) from None
    if markdown:
        say(as_markdown(together))
        aside().print(str(out), soft_wrap=True, markup=False)
    else:
        say(str(out))
