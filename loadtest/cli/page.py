"""`meshload page`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
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
    """Make a page of earlier results, of several files together if you like.

    What several files have of the same scenario and subject stands side by
    side, each with its file's name:

      meshload page main/result.json branch/result.json
    """
    if not out.name or out.is_dir():
        raise Failure(f"--out {out}: a folder; the name of a file is needed")
    if any(out.exists() and path.exists() and out.samefile(path) for path in results):
        raise Failure(f"--out {out}: one of the results, which the page would replace")
    try:
        found = together({str(path): read(path) for path in results})
        put(render(found).encode(), out)
    except FileError as error:
        raise Failure(str(error)) from None
    if markdown:
        say(as_markdown(found))
        aside().print(str(out), soft_wrap=True, markup=False)
    else:
        say(str(out))


def together(files: Mapping[str, Comparison]) -> Comparison:
    """One of all. A subject of which several files have the same scenario gets its file's name beside its own."""
    seen = Counter(key for each in files.values() for key in {(one.scenario, one.subject) for one in each.results})
    return Comparison(
        SCHEMA,
        min(each.started for each in files.values()),
        [
            msgspec.structs.replace(one, subject=f"{one.subject} ({name})")
            if seen[one.scenario, one.subject] > 1
            else one
            for name, each in files.items()
            for one in each.results
        ],
        [failure for each in files.values() for failure in each.failures],
        any(each.interrupted for each in files.values()),
    )
