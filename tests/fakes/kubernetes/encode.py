"""Objects as the server shows them: lists, lines of a watch, bookmarks, metadata alone. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from tests.fakes.kubernetes.resources import Resource
from tests.fakes.kubernetes.state import Event, Item, Page

CHUNK = 262_144
PARTIAL_VERSION = "meta.k8s.io/v1"


class View:
    """How one request wants to see one kind."""

    __slots__ = ("_head", "_is_sorted", "_item_head", "_kind", "_version", "is_partial", "resource")

    def __init__(self, resource: Resource, version: str = "", *, is_partial: bool = False) -> None:
        self.resource = resource
        self.is_partial = is_partial
        self._version = PARTIAL_VERSION if is_partial else resource.api_version(version)
        self._kind = "PartialObjectMetadata" if is_partial else resource.kind
        # Built-in kinds and metadata come from Go structs, in their order; objects of CRDs from maps, sorted.
        self._is_sorted = resource.is_custom and not is_partial
        kind, version_ = f'"kind":"{self._kind}"', f'"apiVersion":"{self._version}"'
        self._head = f"{{{version_},{kind},".encode() if self._is_sorted else f"{{{kind},{version_},".encode()
        # Items of the built-in kinds' lists do not say what they are; those of CRDs do.
        self._item_head = self._head if is_partial or resource.is_custom else b"{"

    def object(self, item: Item) -> bytes:
        return self._head + self._body(item)[1:]

    def line(self, event: Event) -> bytes:
        return b"".join(
            (b'{"type":"', event.type.encode(), b'","object":', self._head, self._body(event.item)[1:], b"}\n")
        )

    def list(self, page: Page, prefix: str, *, is_whole: bool) -> Iterator[bytes]:
        """The list in pieces of some `CHUNK`; the count of what remains is told only if nothing was selected."""
        metadata: dict[str, Any] = {"resourceVersion": str(page.version)}
        if page.last:
            metadata["continue"] = token(page.version, page.last, prefix)
            if is_whole:
                metadata["remainingItemCount"] = page.remaining
        elif self._is_sorted:
            metadata = {"continue": "", **metadata}
        shown = msgspec.json.encode(metadata).decode()
        if self._is_sorted:
            head = f'{{"apiVersion":"{self._version}","items":['
            end = f'],"kind":"{self._kind}List","metadata":{shown}}}\n'
        else:
            head = f'{{"kind":"{self._kind}List","apiVersion":"{self._version}","metadata":{shown},"items":['
            end = "]}\n"
        parts = [head.encode()]
        size = 0
        comma = b""
        for item in page.items:
            piece = comma + self._item_head + self._body(item)[1:]
            parts.append(piece)
            comma = b","
            size += len(piece)
            if size >= CHUNK:
                yield b"".join(parts)
                parts.clear()
                size = 0
        yield b"".join(parts) + end.encode()

    def bookmark(self, version: int, *, ends_initial: bool) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if ends_initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        shown = b'"metadata":' + msgspec.json.encode(metadata)
        rest = b"" if self.is_partial else self.resource.blank.encode()
        return b'{"type":"BOOKMARK","object":%b%b%b}}\n' % (self._head, shown, rest)

    def _body(self, item: Item) -> bytes:
        if self.is_partial:
            return msgspec.json.encode({"metadata": item.document["metadata"]})
        return item.body


def error_line(status: dict[str, Any]) -> bytes:
    """How a watch that has begun says no."""
    return msgspec.json.encode({"type": "ERROR", "object": status}) + b"\n"


def token(version: int, last: str, prefix: str) -> str:
    """A list's `continue`: the version (-1: whichever is the newest), and the last key below the list's prefix."""
    start = f"{'/' if version > 0 else ''}{last.removeprefix(prefix)}\0"
    text = json.dumps({"v": PARTIAL_VERSION, "rv": version, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(text: str, prefix: str) -> tuple[int, str]:
    """The version and the last key that a `continue` names; ValueError if it is none."""
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return int(found["rv"]), prefix + str(found["start"]).strip("/\0")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"invalid continue token: continue key is not valid: {error}") from None
