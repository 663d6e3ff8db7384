"""The commands of meshctl, on one page."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from control.cli.compile import compile_

app = typer.Typer(
    name="meshctl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compile")(compile_)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"meshctl {version('meshproxy')}")
        raise typer.Exit


@app.callback()
def _global(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Operate a meshproxy service mesh.

    The mesh is configured by plain Kubernetes objects: Services, EndpointSlices, Pods and Gateway API routes. Every
    option can be set by an environment variable as well, MESHCTL_ and its name.
    """


def main() -> None:
    """Run meshctl."""
    app()
