"""`meshctl proxies`: the connected sidecars, and what each of them has."""

from __future__ import annotations

from typing import Annotated

import typer

from control.cli.about_proxy import describe_proxy, print_config, print_endpoints, status_of
from control.cli.client import TABLE_MEDIA, Client, place_of
from control.cli.complete import complete_proxy, complete_report
from control.cli.failure import Failure
from control.cli.get import Query, print_documents, read
from control.cli.kinds import PROXY, metadata_of
from control.cli.options import Format, Namespace, Output, connect
from control.cli.screen import Page, say
from control.cli.table import Printer, Table, table_of
from meshproxy.kit.text import printable

REPORTS = ("config", "endpoints", "metrics")


def proxies(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NS/]NAME", help="One sidecar.", autocompletion=complete_proxy)] = "",
    report: Annotated[
        str,
        typer.Argument(
            metavar="config|endpoints|metrics", help="What it has, asked of itself.", autocompletion=complete_report
        ),
    ] = "",
    namespace: Namespace = "",
    output: Output = None,
) -> None:
    """Show the connected sidecars: whether they have what they should have, and if not, since when and why.

    A sidecar is synced, behind (it has not acknowledged yet what it was
    sent) or refused (it keeps what it had; the reason is printed below).

    Examples:
    meshctl proxies -o wide

    meshctl proxies shop/front-1

    meshctl proxies shop/front-1 endpoints

    """
    client = connect(ctx)
    if not name:
        _list(client, namespace, output)
        return
    place, _, tail = name.rpartition("/")
    path = place_of(PROXY, place or namespace or "default", tail)
    if report:
        _report(client, path, report, output)
    elif output in {None, Format.WIDE}:
        describe_proxy(Page(), client.get(path))
    else:
        assert output is not None
        print_documents([client.get(path)], output, is_list=False)


def _list(client: Client, namespace: str, output: Format | None) -> None:
    query = Query(PROXY, namespace, "", "")
    if output not in {None, Format.WIDE}:
        assert output is not None
        print_documents(read(client, query), output, is_list=True)
        return
    table = table_of(client.get(query.place, media=TABLE_MEDIA, includeObject="Object"))
    if not table.rows:
        say("no sidecar is connected" + (f" in namespace {printable(namespace)}" if namespace else ""))
        return
    Printer(wide=output is Format.WIDE, namespaced=True).print(table)
    _print_problems(table)


def _print_problems(table: Table) -> None:
    """Say below the table why sidecars have refused what they were sent."""
    for row in table.rows:
        problems = status_of(row.object).last_nack
        if problems:
            metadata = metadata_of(row.object)
            say()
            say(printable(f"{metadata.get('namespace')}/{metadata.get('name')} refused, and keeps what it had:"))
        for problem in problems:
            say(f"  {problem}")


def _report(client: Client, path: str, report: str, output: Format | None) -> None:
    if report not in REPORTS:
        raise Failure(f"{report!r} is no report; allowed: {', '.join(REPORTS)}")
    if output not in {None, Format.WIDE, Format.JSON} or (output is Format.JSON and report == "metrics"):
        allowed = "-o json for config and endpoints; metrics are plain text"
        raise Failure(f"{report} cannot be printed so; allowed: {allowed}")
    text = client.text(f"{path}/{report}")
    if output is Format.JSON or report == "metrics":
        typer.echo(text, nl=False)
    elif report == "config":
        print_config(text)
    else:
        print_endpoints(text)
