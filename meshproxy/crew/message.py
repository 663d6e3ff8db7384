"""What parent and workers say to each other: JSON, each message a frame of its own (`link.py`).

A change of the configuration comes in parts that are gathered (`Load`), and takes effect with `Apply`; the worker's
answer is `Applied`. What a worker is asked for carries no secret: identities are read by each worker from their files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from meshproxy.admin.view import EndpointRow
from meshproxy.config import Address, Settings
from meshproxy.wire import names
from meshproxy.wire.change import Outlook
from meshproxy.wire.snapshot import Entry

PART_BYTES = 262_144
"""A part ends with the resource that makes it so long."""


class Start(Struct, frozen=True, kw_only=True, tag="start"):
    """The first message. `places` are the addresses to listen on, by direction; `reserved` further own ones."""

    worker: int  # from 1
    settings: Settings
    places: dict[str, Address]
    reserved: list[Address]


class Piece(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An `Entry` whose resource is not decoded yet: its type follows from its name."""

    name: str
    version: str
    consumer: str = ""
    resource: msgspec.Raw


class Load(Struct, frozen=True, tag="load"):
    pieces: list[Piece]


class Apply(Struct, frozen=True, kw_only=True, tag="apply"):
    """Let what was loaded take effect, together with this."""

    number: int
    removed: list[str]
    forgotten: list[str]


class Open(Struct, frozen=True, tag="open"):
    """Begin to accept, once all that was to be applied before is in effect."""


class Verdict(Struct, frozen=True, tag="verdict"):
    """The answer to `Want`, unless a change is on its way."""

    namespace: str
    name: str
    outlook: Outlook


class Ask(Struct, frozen=True, tag="ask"):
    """Tell your endpoints."""

    id: int


class AskUsed(Struct, frozen=True, tag="ask-used"):
    """Tell which Services were called since you told it last."""


class Level(Struct, frozen=True, tag="level"):
    """The log's level from now on."""

    word: str


class Drain(Struct, frozen=True, tag="drain"):
    """Finish what is in progress, then end."""


class Opened(Struct, frozen=True, tag="opened"):
    pass


class Applied(Struct, frozen=True, tag="applied"):
    number: int


class Want(Struct, frozen=True, tag="want"):
    """A Service that was called and is not known."""

    namespace: str
    name: str
    port: int | None


class Rows(Struct, frozen=True, kw_only=True, tag="rows"):
    """The answer to `Ask`, in parts."""

    id: int
    rows: list[EndpointRow]
    is_last: bool


class Used(Struct, frozen=True, tag="used"):
    """The answer to `AskUsed`: NS/NAME."""

    services: list[str]


class Beat(Struct, frozen=True, tag="beat"):
    """The event loop turns."""


class Drained(Struct, frozen=True, tag="drained"):
    """The worker's last message: how many exchanges it had to cut short."""

    cut: int


ToWorker: TypeAlias = Start | Load | Apply | Open | Verdict | Ask | AskUsed | Level | Drain
ToParent: TypeAlias = Opened | Applied | Want | Rows | Used | Beat | Drained


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no part of a message")


def _rich(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise TypeError(f"{kind.__name__} is no part of a message")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_to_worker: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker, dec_hook=_rich)
_to_parent: msgspec.json.Decoder[ToParent] = msgspec.json.Decoder(ToParent)
_resources = {kind: msgspec.json.Decoder(type_) for kind, type_ in names.TYPES.items()}


def encode(message: ToWorker | ToParent) -> bytes:
    return _encoder.encode(message)


def decode_to_worker(data: bytes) -> ToWorker:
    return _to_worker.decode(data)


def decode_to_parent(data: bytes) -> ToParent:
    return _to_parent.decode(data)


def parts(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Messages `Load`, encoded, that hold all these entries; an empty one between them only takes a turn."""
    pieces: list[Piece] = []
    size = 0
    for entry in entries:
        raw = _encoder.encode(entry.resource)
        pieces.append(Piece(name=entry.name, version=entry.version, consumer=entry.consumer, resource=msgspec.Raw(raw)))
        size += len(raw) + len(entry.name) + len(entry.version)
        if size >= PART_BYTES:
            yield encode(Load(pieces))
            pieces = []
            size = 0
        else:
            yield b""
    if pieces:
        yield encode(Load(pieces))


def entry_of(piece: Piece) -> Entry:
    resource = _resources[names.kind_of(piece.name)].decode(piece.resource)
    return Entry(name=piece.name, version=piece.version, consumer=piece.consumer, resource=resource)
