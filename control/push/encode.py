"""What pushes are made of: each version of a resource encoded once, whole or as a patch of the version before."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from struct import pack

import msgspec

from meshproxy.wire.address import format_place
from meshproxy.wire.resources import Endpoint, Endpoints
from meshproxy.wire.snapshot import Entry
from meshproxy.wire.stream import Patch, Update

KEPT_BYTES = 8 * 1024 * 1024
"""Frames kept for the next sidecar that gets the same; the last one is, whatever its size."""
ABSENT = ""
"""The version of a resource that does not exist."""

_encoder = msgspec.json.Encoder()


class Part:
    """What a push says of one resource: an update, or (with the version ABSENT) that there is none. Shared."""

    __slots__ = ("data", "is_patch", "name", "version")

    def __init__(self, name: str, version: str, data: bytes, *, is_patch: bool = False) -> None:
        self.name = name
        self.version = version
        self.data = data
        self.is_patch = is_patch


class Item:
    """One version of a resource, with what brings a sidecar there. `entry` is None where there is no resource."""

    __slots__ = ("_former", "_patch", "_whole", "base", "entry", "name", "version")

    def __init__(self, name: str, entry: Entry | None, former: Entry | None = None) -> None:
        self.name = name
        self.entry = entry
        self.version = entry.version if entry is not None else ABSENT
        # Only endpoints travel as patches.
        self.base = former.version if former is not None and isinstance(former.resource, Endpoints) else None
        self._former = former if self.base is not None else None
        self._patch: Part | None = None
        self._whole: Part | None = None

    def part(self, sent: str | None) -> Part:
        """Return what brings a sidecar here that was sent the version `sent`; None: nobody knows what it holds."""
        if sent is not None and sent == self.base:
            if self._former is not None:
                self._patch = self._make_patch(self._former)
                self._former = None
            if self._patch is not None:
                return self._patch
        if self._whole is None:
            self._whole = self._make_whole()
        return self._whole

    def _make_whole(self) -> Part:
        if self.entry is None:
            return Part(self.name, ABSENT, _encoder.encode(self.name))
        raw = msgspec.Raw(_encoder.encode(self.entry.resource))
        return Part(
            self.name, self.version, _encoder.encode(Update(name=self.name, version=self.version, resource=raw))
        )

    def _make_patch(self, former: Entry) -> Part | None:
        assert self.entry is not None
        old, new = former.resource, self.entry.resource
        if not isinstance(old, Endpoints) or not isinstance(new, Endpoints):
            return None
        patch = difference(former.version, old, new)
        if 2 * (len(patch.upsert) + len(patch.remove)) > len(new.endpoints):
            return None
        update = Update(name=self.name, version=self.version, patch=patch)
        return Part(self.name, self.version, _encoder.encode(update), is_patch=True)


def difference(base: str, old: Endpoints, new: Endpoints) -> Patch:
    """Return the patch that makes `new` out of `old`, whose version is `base`."""
    before, after = old.endpoints, new.endpoints
    first, last = 0, min(len(before), len(after))
    # Most endpoints stay: what is equal at both ends is passed over before anything is looked up.
    while first < last and (before[first] is after[first] or before[first] == after[first]):
        first += 1
    tail = 0
    while tail < last - first and (before[-1 - tail] is after[-1 - tail] or before[-1 - tail] == after[-1 - tail]):
        tail += 1
    was = {_place(item): item for item in before[first : len(before) - tail]}
    upsert = [item for item in after[first : len(after) - tail] if was.pop(_place(item), None) != item]
    return Patch(base=base, upsert=upsert, remove=list(was))


def _place(endpoint: Endpoint) -> str:
    return format_place((endpoint.address, endpoint.port))


def text_frame(payload: bytes) -> bytes:
    """Return a final, unmasked text frame (RFC 6455 5.2), as servers send it: the same bytes for every receiver."""
    return control_frame(0x1, payload)


def control_frame(opcode: int, payload: bytes) -> bytes:
    """Return a final, unmasked frame of any opcode (RFC 6455 5.2)."""
    size = len(payload)
    if size < 126:
        return pack("!BB", 0x80 | opcode, size) + payload
    if size < 65_536:
        return pack("!BBH", 0x80 | opcode, 126, size) + payload
    return pack("!BBQ", 0x80 | opcode, 127, size) + payload


class Frame:
    """A push's bytes, the same for every sidecar that gets the same parts."""

    __slots__ = ("data", "nonce", "parts")

    def __init__(self, nonce: str, parts: tuple[Part, ...], unknown: list[str]) -> None:
        self.nonce = nonce
        self.parts = parts
        self.data = _push(nonce, parts, unknown)


class Frames:
    """Makes frames. `clear` it from time to time: until then equal ones are made once, as far as KEPT_BYTES go."""

    __slots__ = ("_kept_bytes", "_made", "_numbers")

    def __init__(self) -> None:
        self._made: dict[tuple[Part, ...], Frame] = {}
        self._kept_bytes = 0
        self._numbers = count(1)

    def of(self, parts: tuple[Part, ...], unknown: list[str], taken: Iterable[str]) -> Frame:
        """Return the frame for these parts; its nonce is none of those `taken`."""
        if unknown:
            return self._make(parts, unknown)
        made = self._made.get(parts)
        if made is None or made.nonce in taken:
            made = self._make(parts, unknown)
            self._kept_bytes += len(made.data)
            if self._kept_bytes > KEPT_BYTES:
                self.clear()
                self._kept_bytes = len(made.data)
            self._made[parts] = made
        return made

    def clear(self) -> None:
        self._made.clear()
        self._kept_bytes = 0

    def _make(self, parts: tuple[Part, ...], unknown: list[str]) -> Frame:
        return Frame(str(next(self._numbers)), parts, unknown)


def _push(nonce: str, parts: tuple[Part, ...], unknown: list[str]) -> bytes:
    """Return a Push as a whole WebSocket frame. `unknown`: more names of which there is nothing."""
    updated = b",".join([part.data for part in parts if part.version != ABSENT])
    removed = b",".join(
        [part.data for part in parts if part.version == ABSENT] + [_encoder.encode(name) for name in unknown]
    )
    return text_frame(
        b'{"type":"push","nonce":"%s","updated":[%s],"removed":[%s]}' % (nonce.encode(), updated, removed)
    )
