"""How objects leave: as JSON of the version that was asked for, or as tables."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any

import msgspec

from control.api.accept import table_version
from control.api.status import ApiError
from control.api.table import Table


class Form:
    """What one client wants to have of one kind."""

    __slots__ = ("_api_version", "_is_as_kept", "_kind", "_table")

    def __init__(self, kind: str, api_version: str, accept: str, include: str = "", *, is_as_kept: bool = True) -> None:
        """`accept` and `include` are the header and the parameter of the request. Raise ApiError."""
        if include not in {"", "None", "Metadata", "Object"}:
            message = f"includeObject: {include[:80]!r} is not allowed; allowed: None, Metadata, Object"
            raise ApiError("BadRequest", message)
        version = table_version(accept)
        self._kind = kind
        self._api_version = api_version
        self._is_as_kept = is_as_kept
        self._table = Table(kind, version, include) if version else None

    def one(self, body: bytes, now: float) -> bytes:
        """Return a single object; `now` is wall time, for ages."""
        return self._table.whole(body, now) if self._table else self._converted(body)

    def many(
        self, bodies: Iterable[bytes | None], metadata: Mapping[str, Any], now: float
    ) -> Generator[bytes, None, None]:
        """Yield a list, piece by piece; a None among the bodies (one that is not selected) yields nothing.

        `metadata` is read at the end: it may become complete while the bodies are taken.
        """
        table = self._table
        if table:
            yield table.head()
        else:
            yield b'{"kind":"%bList","apiVersion":"%b","items":[' % (self._kind.encode(), self._api_version.encode())
        comma = b""
        for body in bodies:
            if body is None:
                yield b""
                continue
            yield comma + (table.row(body, now) if table else self._converted(body))
            comma = b","
        yield b'],"metadata":%b}' % msgspec.json.encode(metadata)

    def event(self, word: str, body: bytes, now: float, *, is_first: bool) -> bytes:
        """Return one line of a watch; the first one's table says what its columns are."""
        shown = self._table.whole(body, now, with_columns=is_first) if self._table else self._converted(body)
        return b'{"type":"%b","object":%b}\n' % (word.encode(), shown)

    def bookmark(self, version: int, *, ends_initial: bool) -> bytes:
        """Return the line that says how far a watch has come."""
        metadata: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
        if ends_initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        shown = {"kind": self._kind, "apiVersion": self._api_version, "metadata": metadata}
        return msgspec.json.encode({"type": "BOOKMARK", "object": shown}) + b"\n"

    def _converted(self, body: bytes) -> bytes:
        if self._is_as_kept:
            return body
        # The versions of a kind differ in their name alone.
        return msgspec.json.encode({**msgspec.json.decode(body), "apiVersion": self._api_version})
