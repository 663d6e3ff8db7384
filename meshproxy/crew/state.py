"""A registry's state as records, compact enough to be published several times a second.

A record is a length (4 bytes) and msgpack; one slot's takes a microsecond, so that remembering which slots have
changed would cost as much as it saves.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from meshproxy.crew.segment import Segment
    from meshproxy.metrics.family import Family
    from meshproxy.metrics.slots import ExchangeSlot, Registry

READ_EVERY = 8
"""Families whose values are read, not set (the process's, endpoints by state), are read at every eighth publication."""


class Exchanges(Struct, frozen=True, array_like=True, tag=0):
    """An `ExchangeSlot`."""

    key: tuple[str, str, str, str, str]  # the values of EXCHANGE_LABELS
    active: int
    attempts: int
    budget_refused: int
    sent_bytes: int
    received_bytes: int
    retries: dict[str, int]
    codes: dict[int, int]
    outcomes: dict[tuple[int, str, str], int]
    duration_counts: list[int]
    duration_sum_s: float
    first_byte_counts: list[int]
    first_byte_sum_s: float


class Connections(Struct, frozen=True, array_like=True, tag=1):
    """A `ConnectionSlot`."""

    labels: str
    opened: int
    closed: int


class Series(Struct, frozen=True, array_like=True, tag=2):
    """A `Family`: `samples` are (label text, value)."""

    name: str
    kind: str
    meaning: str
    samples: list[tuple[str, float]]


class Dropped(Struct, frozen=True, array_like=True, tag=3):
    """How many records found no room; always the last one, when there is one."""

    records: int


Record: TypeAlias = Exchanges | Connections | Series | Dropped

_LENGTH = struct.Struct("<L")
_DROPPED_BYTES = 32
_encode = msgspec.msgpack.Encoder().encode
_decode: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def decode(content: bytes) -> Iterator[Record]:
    """The records of one publication."""
    view = memoryview(content)
    at = 0
    while at < len(content):
        (length,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size
        yield _decode.decode(view[at : at + length])
        at += length


class Publisher:
    """Writes what a registry holds into a segment, as often as it is asked to."""

    __slots__ = ("_read", "_registry", "_round", "_segment")

    def __init__(self, registry: Registry, segment: Segment) -> None:
        self._registry = registry
        self._segment = segment
        self._read: dict[str, bytes] = {}  # the records of families that are read
        self._round = 0

    def steps(self) -> Generator[None, None, None]:
        """Publish in short steps. Given up half-way, it leaves what was published before."""
        draft = self._segment.begin()
        dropped = 0
        for record in self._records():
            if record and not draft.append(record, _DROPPED_BYTES):
                dropped += 1
            yield
        if dropped:
            draft.append(_framed((3, dropped)))
        self._segment.commit(draft)

    def _records(self) -> Iterator[bytes]:
        """The few of the process itself first, so that they always find room."""
        for connections in self._registry.connections():
            yield _framed((1, connections.labels, connections.opened, connections.closed))
        is_due = self._round % READ_EVERY == 0
        self._round += 1
        for family in list(self._registry.families.values()):
            if not family.is_read:
                yield _series(family)
            else:
                if is_due or family.name not in self._read:
                    self._read[family.name] = _series(family)
                yield self._read[family.name]
        for slot in self._registry.exchanges():
            yield _framed(_exchanges(slot)) if slot.is_used else b""


def _series(family: Family) -> bytes:
    return _framed((2, family.name, family.kind.value, family.meaning, list(family.samples())))


def _exchanges(slot: ExchangeSlot) -> tuple[object, ...]:
    return (
        0,
        slot.key,
        slot.active,
        slot.attempts,
        slot.budget_refused,
        slot.sent_bytes,
        slot.received_bytes,
        slot.retries,
        slot.codes,
        slot.outcomes,
        slot.duration_counts,
        slot.duration_sum_s,
        slot.first_byte_counts,
        slot.first_byte_sum_s,
    )


def _framed(record: tuple[object, ...]) -> bytes:
    body = _encode(record)
    return _LENGTH.pack(len(body)) + body
