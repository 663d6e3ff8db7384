"""The commands of meshctl, on one page."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from control.cli.client import DEFAULT_API
from control.cli.failure import Failure
from control.cli.options import Api, TokenFile
from control.cli.screen import warn

_COMMANDS = {
    "apply": "apply:apply",
    "diff": "diff:diff",
    "get": "get:get",
    "describe": "describe:describe",
    "delete": "delete:delete",
    "route": "canary:app",
    "proxies": "proxies:proxies",
    "explain": "explain:explain",
    "check": "check:check",
    "compile": "compile:compile_",
}
"""Where each command is: it is imported when it is used, since together they take a third of a second."""


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - what is overridden
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - what is overridden
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(f"control.cli.{module}"), name)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False)
            found.command(cmd_name)(function)
        command = get_command(found)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="meshctl",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - takes as long as all else together

        typer.echo(f"meshctl {version('meshproxy')}")
        raise typer.Exit


@app.callback()
def _global(
    api: Api = DEFAULT_API,
    token_file: TokenFile = None,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Operate a meshproxy service mesh.

    The mesh is configured by plain Kubernetes objects: Services,
    EndpointSlices, Pods and Gateway API routes. Every option can be set by an
    environment variable as well; the help of each command names them.

    The API's token is taken from --token-file, MESHCTL_TOKEN, or the control
    plane's own file when it runs on this machine.
    """


def main() -> None:
    """Run meshctl."""
    try:
        app()
    except Failure as failure:
        text = str(failure)
        warn(text if text.startswith("Error from server") else f"error: {text}")
        sys.exit(failure.status)


if __name__ == "__main__":
    main()
