"""Tables that the server made (meta.k8s.io/v1 Table), printed one after the other under one header."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from control.cli.failure import Failure
from control.cli.kinds import metadata_of
from control.cli.screen import Columns


class Column(Struct, frozen=True, kw_only=True):
    name: str
    priority: int = 0  # above 0: only in the wide form


class Row(Struct, frozen=True, kw_only=True):
    cells: list[Any]
    object: dict[str, Any] | None = None


class Table(Struct, frozen=True, kw_only=True):
    kind: str
    metadata: dict[str, Any] = {}
    columns: list[Column] | None = msgspec.field(name="columnDefinitions", default=None)
    rows: list[Row] = []


def table_of(document: Any) -> Table:
    """Raise Failure for what is no table."""
    try:
        table = msgspec.convert(document, Table)
    except msgspec.ValidationError as error:
        raise Failure(f"the control plane's table is not understood: {error}") from None
    if table.kind != "Table":
        raise Failure(f"the control plane answered with {table.kind}, not with a table")
    return table


class Printer:
    """Prints tables of the same columns; those of a watch may leave the columns out after the first."""

    __slots__ = ("_columns", "_has_header", "_layout", "_namespaced", "_wide")

    def __init__(self, *, wide: bool, namespaced: bool) -> None:
        self._wide = wide
        self._namespaced = namespaced
        self._layout = Columns()
        self._columns: list[Column] = []
        self._has_header = False

    def print(self, table: Table, mark: str = "") -> None:
        """Print the rows, and the header when they are the first ones. `mark` is put behind each row."""
        self._columns = table.columns or self._columns
        if not table.rows:
            return
        shown = [i for i, column in enumerate(self._columns) if self._wide or column.priority == 0]
        rows = [self._row(row, shown) + ([mark] if mark else []) for row in table.rows]
        header = [] if self._has_header else self._header(shown)
        self._has_header = True
        self._layout.print(rows, header)

    def _header(self, shown: list[int]) -> list[str]:
        names = [self._columns[i].name.upper() for i in shown]
        return ["NAMESPACE", *names] if self._namespaced else names

    def _row(self, row: Row, shown: list[int]) -> list[str]:
        cells = [_text(row.cells[i]) if i < len(row.cells) else "" for i in shown]
        return [str(metadata_of(row.object).get("namespace", "")), *cells] if self._namespaced else cells


def _text(cell: Any) -> str:
    if cell is None:
        return "<none>"
    return str(cell).lower() if isinstance(cell, bool) else str(cell)
