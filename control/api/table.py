"""Objects as tables (meta.k8s.io Table): what `kubectl get` and `meshctl get` print."""

from __future__ import annotations

from typing import Any

import msgspec

from control.api.columns import COLUMNS
from meshproxy.kit.age import age_of
from meshproxy.kit.text import printable


class Table:
    """Rows of one kind. `version`: the table's own apiVersion; `include`: how much of the object goes with its row."""

    __slots__ = ("_columns", "_include", "_version")

    def __init__(self, kind: str, version: str, include: str) -> None:
        self._columns = COLUMNS[kind]
        self._version = version
        self._include = include or "Metadata"

    def head(self) -> bytes:
        """Return the table up to its rows, which follow, with commas between them; `foot` ends it."""
        definitions = [_definition("Name", "string", "name", "The object's name", 0)]
        definitions += [
            _definition(column.name, column.type, "", column.description, column.priority) for column in self._columns
        ]
        definitions.append(_definition("Age", "string", "", "Time since it was made", 0))
        kind = b'{"kind":"Table","apiVersion":%b,"columnDefinitions":%b,"rows":['
        return kind % (msgspec.json.encode(self._version), msgspec.json.encode(definitions))

    def row(self, body: bytes, now: float) -> bytes:
        """Return one object's row; `now` is wall time."""
        document = msgspec.json.decode(body)
        metadata = document["metadata"]
        cells = [metadata["name"], *(_clean(column.read(document)) for column in self._columns)]
        cells.append(age_of(metadata.get("creationTimestamp") or "", now))
        shown: Any
        if self._include == "None":
            return b'{"cells":%b}' % msgspec.json.encode(cells)
        if self._include == "Metadata":
            shown = {"kind": "PartialObjectMetadata", "apiVersion": self._version, "metadata": metadata}
        else:
            shown = document
        return b'{"cells":%b,"object":%b}' % (msgspec.json.encode(cells), msgspec.json.encode(shown))

    def whole(self, body: bytes, now: float, *, with_columns: bool = True) -> bytes:
        """Return a table of one row, as a single object or an event of a watch has it."""
        head = (
            self.head()
            if with_columns
            else b'{"kind":"Table","apiVersion":%b,"columnDefinitions":null,"rows":['
            % (msgspec.json.encode(self._version))
        )
        return head + self.row(body, now) + b'],"metadata":{}}'


def _definition(name: str, type_: str, form: str, description: str, priority: int) -> dict[str, Any]:
    return {"name": name, "type": type_, "format": form, "description": description, "priority": priority}


def _clean(cell: str | int) -> str | int:
    # Some of it was said by sidecars, and it is printed to a terminal.
    return cell if isinstance(cell, int) else printable(cell)
