"""Snapshot files: the compiled configuration of all namespaces, and what one namespace's sidecars take of it.

`{"schema": 1, "resources": [{"name", "version", "consumer"?, "resource"}]}`; `consumer` is the namespace whose own
routes made this variant. Unknown fields and unknown kinds of resources are ignored, an unknown schema is refused, and
one bad resource refuses the whole file.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TypeVar

import msgspec
from msgspec import Struct

from meshproxy.wire import names
from meshproxy.wire.bounds import MAX_TEXT_CHARS
from meshproxy.wire.canonical import encode, version_of
from meshproxy.wire.check import check_links, check_resource
from meshproxy.wire.problem import Problem
from meshproxy.wire.resources import SCHEMA, Resource

MAX_BYTES = 256 * 1024 * 1024
MAX_RESOURCES = 500_000
MAX_PROBLEMS = 100
"""So many problems are told; what breaks one resource tends to break many."""
MAX_VERSION_CHARS = 128


_Result = TypeVar("_Result")


class SnapshotError(ValueError):
    """A snapshot that cannot be taken; nothing of it is. `problems` holds at least one and at most MAX_PROBLEMS."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems[:MAX_PROBLEMS]
        more = len(problems) - len(self.problems)
        super().__init__("\n".join(map(str, self.problems)) + (f"\nand {more} more" if more > 0 else ""))


class Entry(Struct, frozen=True, kw_only=True):
    """One resource with its version: the hash of its content, as `version_of` makes it."""

    name: str
    version: str
    consumer: str = ""
    resource: Resource


class _RawEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    version: str
    consumer: str = ""
    resource: msgspec.Raw


class _File(Struct, frozen=True, kw_only=True):
    schema: int
    resources: msgspec.Raw


class Snapshot:
    """Resources of all namespaces, checked. Immutable by convention."""

    __slots__ = ("entries", "skipped")

    def __init__(self, entries: list[Entry], skipped: list[str]) -> None:
        self.entries = entries
        self.skipped = skipped  # names of kinds that only a newer sidecar knows

    def select(self, namespace: str) -> dict[str, Entry]:
        """Return, by name, what sidecars of a namespace take: the entry made for it, else the one for everybody."""
        chosen = {entry.name: entry for entry in self.entries if not entry.consumer}
        chosen.update({entry.name: entry for entry in self.entries if entry.consumer == namespace})
        return chosen


_encoder = msgspec.json.Encoder()
_decoders = {kind: msgspec.json.Decoder(type_) for kind, type_ in names.TYPES.items()}
# Bytes that are no UTF-8, and what is nested too deeply, come from the decoder as Python's own errors.
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_file_decoder = msgspec.json.Decoder(_File)
_list_decoder = msgspec.json.Decoder(list[_RawEntry])


def entry_of(name: str, resource: Resource, consumer: str = "") -> Entry:
    return Entry(name=name, version=version_of(resource), consumer=consumer, resource=resource)


def decode_entry(
    name: str, version: str, resource: msgspec.Raw, problems: list[Problem], consumer: str = ""
) -> Entry | None:
    """Decode one resource of a known kind; what is wrong with it is added to `problems`. It is not checked yet."""
    if not check_version(name, version, problems):
        return None
    try:
        decoded = _decoders[names.kind_of(name)].decode(resource)
    except UNDECODABLE as error:
        message, _, path = str(error).partition(" - at `")
        path = path.rstrip("`").removeprefix("$").lstrip(".")
        problems.append(Problem(name[: names.MAX_CHARS], path, message[:MAX_TEXT_CHARS]))
        return None
    return Entry(name=name, version=version, consumer=consumer, resource=decoded)


def check_version(name: str, version: str, problems: list[Problem]) -> bool:
    """Tell whether a version can be one, else add to `problems`."""
    if 0 < len(version) <= MAX_VERSION_CHARS and version.isprintable():
        return True
    allowed = f"must have 1 to {MAX_VERSION_CHARS} printable characters"
    problems.append(Problem(name[: names.MAX_CHARS], "version", allowed))
    return False


def dump(entries: Iterable[Entry]) -> bytes:
    """Encode a snapshot file: one resource a line, sorted by name, so that two files can be compared by eye."""
    ordered = sorted(entries, key=lambda entry: (entry.name, entry.consumer))
    return b'{"schema":%d,"resources":[\n%s\n]}\n' % (SCHEMA, b",\n".join(map(_line, ordered)))


def _line(entry: Entry) -> bytes:
    raw = _RawEntry(
        name=entry.name, version=entry.version, consumer=entry.consumer, resource=msgspec.Raw(encode(entry.resource))
    )
    return _encoder.encode(raw)


def load(data: bytes) -> Snapshot:
    """Decode and check a snapshot file. Raise SnapshotError with everything that is wrong with it."""
    return _finish(load_steps(data))


def check(entries: list[Entry]) -> list[Problem]:
    """Return what is inconsistent in a snapshot, for any namespace that takes from it."""
    return _finish(_check_steps(entries))


def _finish(steps: Generator[None, None, _Result]) -> _Result:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _Result = end.value
            return result


def load_steps(data: bytes) -> Generator[None, None, Snapshot]:
    """Do what `load` does in short steps; the generator returns the snapshot."""
    if len(data) > MAX_BYTES:
        raise _refusal("", f"the snapshot has {len(data)} bytes; allowed: at most {MAX_BYTES}")
    entries: list[Entry] = []
    skipped: list[str] = []
    problems: list[Problem] = []
    for raw in _envelope(data):
        if names.kind_of(raw.name) not in names.TYPES:
            skipped.append(raw.name[: names.MAX_CHARS])
        elif (entry := decode_entry(raw.name, raw.version, raw.resource, problems, raw.consumer)) is not None:
            entries.append(entry)
        yield
    if not problems:
        problems = yield from _check_steps(entries)
    if problems:
        raise SnapshotError(problems)
    return Snapshot(entries, skipped)


def _check_steps(entries: list[Entry]) -> Generator[None, None, list[Problem]]:
    problems: list[Problem] = []
    seen: set[tuple[str, str]] = set()
    for entry in entries:
        if (entry.name, entry.consumer) in seen:
            problems.append(Problem(entry.name[: names.MAX_CHARS], "", "stands twice for the same consumer"))
        seen.add((entry.name, entry.consumer))
        if entry.consumer and (not names.is_label(entry.consumer) or names.kind_of(entry.name) != "routes"):
            problems.append(Problem(entry.name[: names.MAX_CHARS], "consumer", "is a namespace, of routes only"))
        problems.extend(check_resource(entry.name, entry.resource))
        yield
    if problems:
        return problems
    shared = {entry.name for entry in entries if not entry.consumer}
    for entry in entries:
        if entry.consumer and entry.name not in shared:
            problems.append(Problem(entry.name, "consumer", "has no variant for the other namespaces beside it"))
        problems.extend(check_links(entry.name, entry.resource, shared))
        yield
    return problems


def _envelope(data: bytes) -> list[_RawEntry]:
    try:
        file = _file_decoder.decode(data)
        # Before anything else is decoded: another schema may look quite different.
        if file.schema != SCHEMA:
            raise _refusal("schema", f"schema {file.schema} is unknown; allowed: {SCHEMA}")
        raw = _list_decoder.decode(file.resources)
    except UNDECODABLE as error:
        raise _refusal("", f"not a snapshot file: {error}") from None
    if len(raw) > MAX_RESOURCES:
        raise _refusal("resources", f"{len(raw)} resources; allowed: at most {MAX_RESOURCES}")
    return raw


def _refusal(path: str, message: str) -> SnapshotError:
    return SnapshotError([Problem("", path, message)])
