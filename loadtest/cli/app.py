"""The commands of meshload, on one page."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from loadtest.cli.failure import WRONG, Failure
from loadtest.report.words import printable
from loadtest.subjects.subject import SubjectError

_COMMANDS = {
    "run": "run",
    "compare": "compare",
    "load": "load",
    "list": "list_",
    "explain": "explain",
    "diff": "diff",
    "page": "page",
}
"""Each command is a module of this package and a function of that name: imported when it is used."""


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - what is overridden
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - what is overridden
        if cmd_name not in _COMMANDS:
            return None
        name = _COMMANDS[cmd_name]
        one = typer.Typer(add_completion=False)
        one.command(cmd_name)(getattr(import_module(f"loadtest.cli.{name}"), name))
        command = get_command(one)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="meshload",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - takes as long as all else together

        typer.echo(f"meshload {version('meshproxy')}")
        raise typer.Exit


@app.callback()
def _global(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Load and resilience tests for whatever answers HTTP.

    Requests are sent when they are due, whatever became of those before, and
    latency counts from then: a target that stalls cannot hide it. What is run
    stands in scenarios: load, origins with faults, and what is expected.

    Begin with `meshload list`, read one with `meshload explain NAME`, and run
    it with `meshload run NAME`. To put load on an address that is already
    there: `meshload load http://127.0.0.1:8080 --rate 500/s`.

    Every option can be set by an environment variable as well; the help of
    each command names them.

    Exit status: 0 all expectations hold, 1 some do not (or a diff is worse),
    2 something given is wrong and nothing was run, 3 a run could not be made,
    broke, or could not be kept, 130 interrupted.
    """


def main() -> None:
    """Run meshload."""
    for name in ("stdout", "stderr"):  # None when whoever started this closed it
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the end
    try:
        app(prog_name="meshload")
    except (Failure, SubjectError) as failure:
        typer.echo(f"error: {printable(str(failure))}", err=True)
        sys.exit(failure.status if isinstance(failure, Failure) else WRONG)


if __name__ == "__main__":
    main()
