"""What an API server says, line by line or page by page, made into what it means for one kind."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct

from control.kube.failure import KubeError, Status, of_status
from control.kube.pool import Pool
from control.kube.resources import PARTIAL, PARTIAL_VERSION, Watched
from control.model.core import check_endpoints, check_service, check_slice_ports
from control.model.decode import Known, ObjectError, decode, prune
from control.model.objects import EndpointSlice, Key, Service
from control.model.schema import JSON, Flaw
from meshproxy.kit.text import printable
from meshproxy.wire.names import is_label, is_subdomain

log = logging.getLogger(__name__)

INITIAL_END = "k8s.io/initial-events-end"
MAX_TEXT_CHARS = 300
"""Of what is told about one object, or quoted."""
MAX_VERSION_CHARS = 128
_MAX_DIGITS = 20
_BROKEN = (msgspec.MsgspecError, ValueError, RecursionError)
"""What bytes from outside make a decoder raise."""

T = TypeVar("T")


class Garbage(KubeError):  # noqa: N818 - it is what came
    """What came is not what an API server says of this kind."""


class Version(NamedTuple):
    """A resourceVersion: as it is sent back, and as a number that tells older from newer (0 if it is none)."""

    text: str
    number: int


class Upsert(NamedTuple):
    """An object as it is now. Without `item` it cannot be taken: `flaw` says why. `ignored` names what was left out."""

    word: str  # ADDED or MODIFIED
    key: Key
    version: Version
    item: Known | None
    flaw: str = ""
    ignored: str = ""


class Deletion(NamedTuple):
    key: Key
    version: Version
    word: str = "DELETED"


class Bookmark(NamedTuple):
    """All up to a version was said; with `ends_initial` all objects that there are."""

    version: Version
    ends_initial: bool
    word: str = "BOOKMARK"


Event: TypeAlias = Upsert | Deletion | Bookmark


class Page(NamedTuple):
    """One page of a list. `next` asks for the one after it, empty at the end."""

    version: Version
    next: str
    items: Sequence[Raw]


class _Metadata(Struct, rename="camel"):
    name: str | None = None
    namespace: str | None = None
    resource_version: str | None = None


class _Head(Struct, rename="camel"):
    metadata: _Metadata
    kind: str = ""
    api_version: str = ""


class _Line(Struct):
    type: str
    object: Raw


class _HeadLine(Struct):
    type: str
    object: _Head


class _ItemLine(Struct, Generic[T]):
    object: T


class _Marked(Struct):
    annotations: dict[str, str] | None = None


class _MarkedObject(Struct):
    metadata: _Marked


class _ListMetadata(Struct, rename="camel"):
    resource_version: str | None = None
    next: str | None = msgspec.field(name="continue", default=None)


class _List(Struct, rename="camel"):
    kind: str
    metadata: _ListMetadata
    items: list[Raw] | None = None
    api_version: str = ""


_heads = msgspec.json.Decoder(_Head)
_head_lines = msgspec.json.Decoder(_HeadLine)
_lines = msgspec.json.Decoder(_Line)
_marked = msgspec.json.Decoder(_ItemLine[_MarkedObject])
_statuses = msgspec.json.Decoder(Status)
_lists = msgspec.json.Decoder(_List)


class Decoder:
    """Reads what is said of one kind."""

    def __init__(self, watched: Watched, pool: Pool) -> None:
        self._watched = watched
        self._pool = pool
        names = {(watched.kind.group_version(version), watched.kind.name) for version in watched.kind.versions}
        self._names = names | {(PARTIAL_VERSION, PARTIAL)} if watched.is_metadata_only else names
        self._items = msgspec.json.Decoder(watched.type)
        self._item_lines = msgspec.json.Decoder(_ItemLine[watched.type])  # type: ignore[name-defined]

    def event(self, line: bytes) -> Event:
        """Read a line of a watch. Raise Garbage, or the KubeError that an ERROR event tells."""
        try:
            head = _head_lines.decode(line)
        except _BROKEN as error:
            raise self._failure(line) or Garbage(f"a line of the watch is not understood: {error}") from None
        if head.type not in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}:
            raise self._failure(line) or Garbage(f"an event of type {_short(head.type)} is not understood")
        self._check_kind(head.object, is_required=True)
        version = _version(head.object.metadata.resource_version)
        if head.type == "BOOKMARK":
            return Bookmark(version, _ends_initial(line))
        key = self._key(head.object.metadata)
        if head.type == "DELETED":
            return Deletion(key, version)
        if not self._watched.is_optional:
            try:
                return self._checked(head.type, key, version, self._item_lines.decode(line).object)
            except Exception:  # noqa: BLE001, S110 - whatever it is, a thorough look says what to make of it
                pass
        return self._thorough(head.type, key, version, _lines.decode(line).object)

    def page(self, body: bytes) -> Page:
        """Read a page of a list, but not its items. Raise Garbage."""
        found = understood(body, _lists, "the list")
        names = {(version, f"{name}List") for version, name in self._names}
        if (found.api_version, found.kind) not in names:
            raise Garbage(f"the list is one of {_short(f'{found.api_version} {found.kind}')}")
        return Page(_version(found.metadata.resource_version), found.metadata.next or "", found.items or ())

    def item(self, raw: Raw) -> Upsert:
        """Read an item of a page. Raise Garbage."""
        try:
            head = _heads.decode(raw)
        except _BROKEN as error:
            raise Garbage(f"an item of the list is not understood: {error}") from None
        self._check_kind(head, is_required=False)
        version = _version(head.metadata.resource_version)
        key = self._key(head.metadata)
        if not self._watched.is_optional:
            try:
                return self._checked("ADDED", key, version, self._items.decode(raw))
            except Exception:  # noqa: BLE001, S110 - whatever it is, a thorough look says what to make of it
                pass
        return self._thorough("ADDED", key, version, raw)

    def _failure(self, line: bytes) -> KubeError | None:
        """Return what an ERROR event says; None if the line is none."""
        try:
            event = _lines.decode(line)
            if event.type != "ERROR":
                return None
            status = _statuses.decode(event.object)
        except _BROKEN:
            return None
        return of_status(status) if status.kind == "Status" else None

    def _check_kind(self, head: _Head, *, is_required: bool) -> None:
        # Lists of built-in kinds do not repeat on each item what it is.
        name = (head.api_version, head.kind)
        if name not in self._names and (is_required or name != ("", "")):
            raise Garbage(f"an object is a {_short(f'{head.api_version} {head.kind}')}")

    def _key(self, metadata: _Metadata) -> Key:
        if not metadata.name or bool(metadata.namespace) != self._watched.kind.is_namespaced:
            raise Garbage(f"an object is in namespace {metadata.namespace!r:.80} and called {metadata.name!r:.260}")
        return Key(self._pool.text(metadata.namespace or ""), metadata.name)

    def _checked(self, word: str, key: Key, version: Version, item: Known) -> Upsert:
        if flaws := _flaws(key, item):
            return Upsert(word, key, version, None, _told(flaws))
        ignored = ""
        if isinstance(item, EndpointSlice) and (unusable := check_endpoints(item)):
            # An API server takes a multicast address, which must not spoil the others.
            good = [endpoint for i, endpoint in enumerate(item.endpoints) if i not in unusable]
            item = msgspec.structs.replace(item, endpoints=good)
            ignored = _told([flaw for found in unusable.values() for flaw in found])
        self._pool.take(item)
        return Upsert(word, key, version, item, ignored=ignored)

    def _thorough(self, word: str, key: Key, version: Version, raw: Raw) -> Upsert:
        """Read what a type alone cannot, or may not. What makes it fail, whatever it is, is about this object alone."""
        try:
            document = msgspec.json.decode(raw)
            if self._watched.is_optional:
                return self._routing(word, key, version, document)
            # Go writes a list that is empty as null; msgspec's types read that as an error.
            return self._checked(word, key, version, msgspec.convert(_pruned(document), self._watched.type))
        except ObjectError as error:
            return Upsert(word, key, version, None, _told(error.flaws))
        except _BROKEN as error:
            return Upsert(word, key, version, None, _short(str(error)))
        except Exception as error:
            log.exception("%s %s cannot be read: a defect", self._watched.name, key)
            return Upsert(word, key, version, None, _short(f"cannot be read, which is a defect: {error}"))

    def _routing(self, word: str, key: Key, version: Version, document: JSON) -> Upsert:
        """Take an object whose every field matters: those not known here are dropped, and named."""
        document.update(kind=self._watched.kind.name, apiVersion=self._watched.kind.api_version)
        document.pop("status", None)  # others' word, in whatever form their version has it
        kept, dropped = prune(document)
        item = decode(kept, is_admitted=True)
        self._pool.take(item)
        return Upsert(word, key, version, item, ignored=_short(", ".join(dropped)))


def understood(body: bytes, decoder: msgspec.json.Decoder[T], what: str) -> T:
    """Return what an answer says. Raise Garbage for one that is not what `what` should be."""
    try:
        return decoder.decode(body)
    except _BROKEN as error:
        raise Garbage(f"{what} is not understood: {printable(str(error))}") from None


def version_of(text: str) -> int:
    """Return a resourceVersion as a number, 0 if it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else 0


def _version(text: str | None) -> Version:
    if not text or len(text) > MAX_VERSION_CHARS:
        raise Garbage(f"the resourceVersion is {text!r:.80}")
    return Version(text, version_of(text))


def _ends_initial(line: bytes) -> bool:
    try:
        annotations = _marked.decode(line).object.metadata.annotations or {}
    except _BROKEN as error:
        raise Garbage(f"a bookmark is not understood: {error}") from None
    return annotations.get(INITIAL_END) == "true"


def _pruned(value: JSON) -> Any:
    if isinstance(value, dict):
        return {name: _pruned(item) for name, item in value.items() if item is not None}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _flaws(key: Key, item: Known) -> list[Flaw]:
    is_name = is_label if isinstance(item, Service) else is_subdomain
    if not is_name(key.name) or (key.namespace and not is_label(key.namespace)):
        return [Flaw("metadata.name", f"{_short(str(key))} is malformed")]
    if isinstance(item, Service):
        return check_service(item)
    return check_slice_ports(item) if isinstance(item, EndpointSlice) else []


def _told(flaws: Sequence[Flaw]) -> str:
    more = f" (and {len(flaws) - 1} more)" if len(flaws) > 1 else ""
    return _short(f"{flaws[0]}{more}")


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= MAX_TEXT_CHARS else f"{text[: MAX_TEXT_CHARS - 3]}..."
