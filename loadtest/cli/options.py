"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        envvar="MESHLOAD_OUT",
        metavar="DIR",
        file_okay=False,
        help="Where results go: a folder of its own for each call, with result.json and page.html.",
    ),
]
DEFAULT_OUT = Path("meshload-results")
Pin = Annotated[
    bool,
    typer.Option(
        "--pin/--no-pin",
        envvar="MESHLOAD_PIN",
        help="Subjects get the last core for themselves, generator and origin the others.",
    ),
]
Markdown = Annotated[
    bool, typer.Option("--markdown", envvar="MESHLOAD_MARKDOWN", help="Print the table as Markdown, for a document.")
]
