"""`meshctl get`: objects as a table, or as they are kept."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from typing import Annotated, Any, NamedTuple

import typer

from control.cli.client import TABLE_MEDIA, Client, place_of
from control.cli.failure import ApiError, Failure, Unreachable
from control.cli.kinds import PROXY, label_of, metadata_of, target_of
from control.cli.options import Format, KindArgument, NameArgument, Namespace, Output, connect
from control.cli.screen import say, warn
from control.cli.table import Printer, Table, table_of
from control.cli.text import shown, to_json, to_yaml
from control.model.kinds import Kind
from meshproxy.kit.text import printable

PAGE = 500
_REST_S = 0.5
"""Between two watches."""


class Query(NamedTuple):
    """One object when `name` is given, else a list; over all namespaces when `namespace` is empty."""

    kind: Kind
    namespace: str
    name: str
    selector: str

    @property
    def place(self) -> str:
        return place_of(self.kind, self.namespace, self.name)

    @property
    def options(self) -> dict[str, str]:
        return {"labelSelector": self.selector} if self.selector else {}


def get(
    ctx: typer.Context,
    kind: KindArgument,
    name: NameArgument = "",
    namespace: Namespace = "default",
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", envvar="MESHCTL_ALL_NAMESPACES", help="Of all namespaces.")
    ] = False,
    selector: Annotated[
        str,
        typer.Option(
            "--selector", "-l", envvar="MESHCTL_SELECTOR", metavar="LABELS", help="By labels: a=b,c!=d,e in (f,g)."
        ),
    ] = "",
    output: Output = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", envvar="MESHCTL_WATCH", help="Go on, and print what changes.")
    ] = False,
) -> None:
    """Show objects: services, endpointslices, pods, httproutes, referencegrants, proxies.

    Examples:
    meshctl get httproutes -A

    meshctl get httproute echo -n shop -o yaml

    meshctl get services -l team=shop -w

    """
    target = target_of(kind, name)
    if target.name and (all_namespaces or selector):
        raise Failure("a name goes with neither --all-namespaces nor --selector; allowed: one of them")
    query = Query(target.kind, "" if all_namespaces else namespace, target.name, selector)
    client = connect(ctx)
    if watch:
        _watch(client, query, output)
    elif output in {None, Format.WIDE}:
        table = read_table(client, query)
        print_table(table, query, output)
    else:
        assert output is not None
        print_documents(read(client, query), output, is_list=not query.name)


def read(client: Client, query: Query) -> list[dict[str, Any]]:
    """Return the objects asked for, page by page."""
    if query.name:
        return [client.get(query.place)]
    items: list[dict[str, Any]] = []
    options = query.options | {"limit": str(PAGE)}
    while True:
        page = client.get(query.place, **options)
        if not isinstance(page, dict) or not isinstance(page.get("items"), list):
            raise Failure("the control plane's list is not understood")
        common = {"apiVersion": query.kind.api_version, "kind": query.kind.name}
        items += [common | item for item in page["items"] if isinstance(item, dict)]
        token = metadata_of(page).get("continue")
        if not token:
            return items
        options["continue"] = str(token)


def read_table(client: Client, query: Query) -> Table:
    return table_of(client.get(query.place, media=TABLE_MEDIA, **query.options))


def print_table(table: Table, query: Query, output: Format | None) -> None:
    """Print a table, or say on standard error that there is nothing."""
    if not table.rows:
        warn(f"no {query.kind.plural} found" + (f" in namespace {query.namespace}" if query.namespace else ""))
        return
    Printer(wide=output is Format.WIDE, namespaced=not query.namespace).print(table)


def print_documents(documents: list[dict[str, Any]], output: Format, *, is_list: bool) -> None:
    """Print objects as text that can be read again; several as one List."""
    if output is Format.NAME:
        for document in documents:
            say(printable(_name_of(document)))
        return
    whole: Any = [shown(document) for document in documents]
    whole = {"apiVersion": "v1", "kind": "List", "items": whole} if is_list else whole[0]
    typer.echo(to_json(whole) if output is Format.JSON else to_yaml(whole), nl=False)


def _name_of(document: dict[str, Any]) -> str:
    kind = target_of(str(document.get("kind", "")), "").kind
    return label_of(kind, document)


def _watch(client: Client, query: Query, output: Format | None) -> None:
    """Print what is there, then what changes, until it is interrupted."""
    if query.kind is PROXY:
        raise Failure("proxies cannot be watched")
    if output in {None, Format.WIDE}:
        printer = Printer(wide=output is Format.WIDE, namespaced=not query.namespace)
        for type_, document in changes(client, query, TABLE_MEDIA):
            printer.print(table_of(document), "(deleted)" if type_ == "DELETED" else "")
        return
    assert output is not None
    for type_, document in changes(client, query, "application/json"):
        if output is Format.NAME:
            say(printable(_name_of(document)) + (" (deleted)" if type_ == "DELETED" else ""))
        elif output is Format.JSON:
            typer.echo(to_json(shown(document)), nl=False)
        else:
            typer.echo(f"---\n{to_yaml(shown(document))}", nl=False)


def changes(client: Client, query: Query, media: str) -> Iterator[tuple[str, Any]]:
    """Yield (ADDED, MODIFIED or DELETED, document) for ever: first what is there, then each change.

    A watch whose history has gone by begins anew with all that is there; one that was broken off is taken up again.
    """
    place, options = place_of(query.kind, query.namespace), query.options
    if query.name:
        client.get(query.place)  # a name that does not exist is told at once
        options["fieldSelector"] = f"metadata.name={query.name}"
    version, has_started, is_lost = "", False, False
    while True:
        try:
            if not version:
                version = yield from _start(client, query, options, media)
                has_started = True
            for event in client.watch(place, media=media, resourceVersion=version, **options):
                is_lost = False
                type_, document = _event(event)
                version = _version(document) or version
                if type_ != "BOOKMARK":
                    yield type_, document
        except ApiError as error:
            if error.code != 410:
                raise
            version = ""
        except Unreachable as error:
            if not has_started:
                raise
            if not is_lost:
                warn(f"{error}\ntrying again until it answers")
            is_lost = True
        time.sleep(_REST_S)


def _start(client: Client, query: Query, options: dict[str, str], media: str) -> Generator[tuple[str, Any], None, str]:
    place = place_of(query.kind, query.namespace)
    found = client.get(place, media=media, **options)
    if media == TABLE_MEDIA:
        yield "ADDED", found
    else:
        for item in found.get("items") or ():
            yield "ADDED", {"apiVersion": query.kind.api_version, "kind": query.kind.name} | item
    return str(metadata_of(found).get("resourceVersion", ""))


def _event(event: Any) -> tuple[str, Any]:
    """Raise ApiError for an event that is an error: that is how a watch says 410."""
    type_ = str(event.get("type")) if isinstance(event, dict) else ""
    document = event.get("object") if isinstance(event, dict) else None
    if type_ == "ERROR" and isinstance(document, dict):
        text = str(document.get("message"))
        raise ApiError(f"Error from server: {text}", int(document.get("code") or 0), str(document.get("reason")), text)
    if type_ not in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}:
        raise Failure(f"an event of the watch is not understood: {type_}")
    return type_, document


def _version(document: Any) -> str:
    """Return the resourceVersion of an object, or of a table: its own, else its row's."""
    version = metadata_of(document).get("resourceVersion")
    if not version and isinstance(document, dict) and document.get("kind") == "Table":
        rows = document.get("rows") or [{}]
        version = metadata_of(rows[-1].get("object")).get("resourceVersion")
    return str(version or "")
