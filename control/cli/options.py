"""Options and arguments that several commands share, and the connection that they lead to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from control.cli.client import DEFAULT_API, TIMEOUT_S, Client
from control.cli.complete import complete_kind, complete_name
from control.cli.credential import find_credential

Api = Annotated[
    str, typer.Option("--api", envvar="MESHCTL_API", metavar="URL", help="The control plane's API, as a URL.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="MESHCTL_TOKEN_FILE",
        metavar="FILE",
        help="The file that holds the API's token. Default: MESHCTL_TOKEN, else the file `token` in the control "
        "plane's data directory (MESHCONTROL_DATA_DIR).",
    ),
]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", envvar="MESHCTL_NAMESPACE", metavar="NS", help="The namespace.")
]
KindArgument = Annotated[
    str,
    typer.Argument(
        metavar="KIND[/NAME]",
        help="Any of its names: httproute, httproutes, HTTPRoute.",
        autocompletion=complete_kind,
    ),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="One object.", autocompletion=complete_name)]
Files = Annotated[
    list[str],
    typer.Option(
        "--file",
        "-f",
        envvar="MESHCTL_FILE",
        metavar="FILE|DIR|-",
        help="Manifests: a file, a folder (its *.yaml, *.yml, *.json) or standard input. Repeatable.",
    ),
]
ForceConflicts = Annotated[
    bool,
    typer.Option(
        "--force-conflicts",
        "--force",
        envvar="MESHCTL_FORCE_CONFLICTS",
        help="Take objects over that another manager owns.",
    ),
]


class Format(StrEnum):
    """How objects are printed."""

    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Output = Annotated[
    Format | None,
    typer.Option("--output", "-o", envvar="MESHCTL_FORMAT", help="Another form than the table."),
]


def connect(ctx: typer.Context, timeout_s: float = TIMEOUT_S) -> Client:
    """Return a client for what the global options name. Raise Failure."""
    given = ctx.find_root().params
    client = Client(given.get("api") or DEFAULT_API, find_credential(given.get("token_file")), timeout_s)
    ctx.call_on_close(client.close)
    return client
