"""What `meshctl compile` tells: errors and notices on standard error, routes and counts on standard output."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from control.compile.status import Condition, ParentStatus, route_status
from control.index.index import Index
from control.model.decode import KINDS
from control.model.routes import HTTPRoute, ParentRef
from meshproxy.kit.text import printable

_PIPE_WIDTH = 200
_MAX_PLACES = 3


def print_errors(errors: list[str], count: int, output: Path) -> None:
    for error in errors:
        typer.echo(error, err=True)
    if count > len(errors):
        typer.echo(f"and {count - len(errors)} more", err=True)
    typer.echo(f"{count} error{'s' if count != 1 else ''}: {output} was not written", err=True)


def print_skipped(skipped: dict[str, list[str]]) -> None:
    for kind, places in sorted(skipped.items()):
        shown = ", ".join(places[:_MAX_PLACES]) + (", ..." if len(places) > _MAX_PLACES else "")
        typer.echo(f"skipped {len(places)} of kind {kind}, which is not used: {shown}", err=True)


def print_routes(index: Index) -> None:
    """Print a table of the routes' status, and what is to be said about those that are not as they should be."""
    if not index.routes:
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HTTPROUTE", "PARENT", "ACCEPTED", "RESOLVED", "NOTE"):
        table.add_column(column, overflow="fold")
    for _, route in sorted(index.routes.items()):
        statuses = route_status(index, route)
        if not statuses:
            table.add_row(str(route.key), "-", "-", "-", "no parent is a Service: not the mesh's to route")
        for status in statuses:
            table.add_row(*_row(route, status))
    console.print(table)


def print_summary(objects: Counter[str], resources: int, size_bytes: int, output: Path) -> None:
    found = ", ".join(f"{objects[kind]} {kind}{'s' if objects[kind] != 1 else ''}" for kind in KINDS if objects[kind])
    typer.echo(f"{found}\n{output}: {resources} resources, {size_bytes} bytes")


def _row(route: HTTPRoute, status: ParentStatus) -> tuple[Text, ...]:
    by_type = {condition.type: condition for condition in status.conditions}
    notes = [condition.message for condition in status.conditions if condition.message]
    if route.spec.hostnames:
        notes.append("hostnames have no meaning at a Service and are ignored")
    return (
        Text(str(route.key)),
        Text(printable(_parent(route, status.parent))),
        _cell(by_type["Accepted"]),
        _cell(by_type["ResolvedRefs"]),
        Text(printable("; ".join(notes))),
    )


def _cell(condition: Condition) -> Text:
    return Text("yes", style="green") if condition.status else Text(f"no: {condition.reason}", style="red")


def _parent(route: HTTPRoute, parent: ParentRef) -> str:
    text = f"{parent.namespace or route.metadata.namespace}/{parent.name}"
    port = f":{parent.port}" if parent.port else ""
    return f"{text}{port}{f' ({parent.section_name})' if parent.section_name else ''}"
