"""`meshctl diff`: what an apply would change."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import typer
from rich.text import Text

from control.cli.failure import Failure
from control.cli.options import Files, ForceConflicts, Namespace, connect
from control.cli.screen import say
from control.cli.submit import Plan, gather, plan
from control.cli.text import to_yaml, written
from meshproxy.kit.text import printable

_STYLES = {"---": "bold", "+++": "bold", "@@": "cyan", "-": "red", "+": "green"}


def diff(
    ctx: typer.Context,
    file: Files,
    namespace: Namespace = "default",
    force_conflicts: ForceConflicts = False,
) -> None:
    """Show what an apply of manifests would change, as a unified diff of YAML.

    The control plane is asked (dry run), so defaults and refusals count.
    The exit status is 0 without differences, 1 with some, 2 after errors.

    Example:
    meshctl diff -f manifests/

    """
    try:
        plans = plan(connect(ctx), gather(ctx, file, namespace), force=force_conflicts)
    except Failure as error:
        error.status = 2
        raise
    differs = False
    for item in plans:
        for line in _lines(item):
            differs = True
            style = next((style for start, style in _STYLES.items() if line.startswith(start)), "")
            say(Text(printable(line), style))
    if differs:
        raise typer.Exit(1)


def _lines(item: Plan) -> Iterator[str]:
    before = to_yaml(written(item.before)).splitlines() if item.before is not None else []
    after = to_yaml(written(item.after)).splitlines()
    name = f"{item.item.kind.singular}/{item.item.key}"
    now = "now" if item.before is not None else "not there"
    return difflib.unified_diff(before, after, f"{name} ({now})", f"{name} (after an apply)", lineterm="")
