"""Header modifiers of a route, compiled. What is removed goes first, then `set`, then `add`."""

from __future__ import annotations

import re

from meshproxy.policy.message import Field, field
from meshproxy.wire import resources as wire

FIXED = frozenset((
    "connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
))  # fmt: skip
"""No modifier touches these: they frame the message or belong to one connection; the host is URLRewrite's to change."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")


class HeaderEdit:
    """A compiled HTTPHeaderFilter."""

    __slots__ = ("_adds", "_dropped", "_sets")

    def __init__(self, modifier: wire.HeaderModifier) -> None:
        """Raise ValueError for what is no header, or one that a modifier may not touch."""
        # An entry whose name came before counts for nothing (Gateway API).
        self._sets: dict[bytes, Field] = {}
        for name, value in modifier.set:
            entry = _field(name, value)
            self._sets.setdefault(entry[0], entry)
        self._adds = [_field(name, value) for name, value in modifier.add]
        self._dropped = frozenset(_name(name) for name in modifier.remove)

    @property
    def removed(self) -> frozenset[bytes]:
        """Lowered names of what is taken out, unless it is set or added."""
        return self._dropped

    def apply(self, fields: list[Field]) -> list[Field]:
        """The edited fields, as a new list. What is set stands where its first occurrence stood, else at the end."""
        dropped = self._dropped
        sets = self._sets
        pending = dict(sets)
        edited: list[Field] = []
        for entry in fields:
            lower = entry[0]
            if lower in sets:
                replaced = pending.pop(lower, None)
                if replaced is not None:
                    edited.append(replaced)
            elif lower not in dropped:
                edited.append(entry)
        edited.extend(pending.values())
        edited.extend(self._adds)
        return edited


def merge(modifiers: list[wire.HeaderModifier]) -> HeaderEdit | None:
    """Several modifiers of one kind as one; None if nothing is to be done."""
    if not any(modifier.set or modifier.add or modifier.remove for modifier in modifiers):
        return None
    return HeaderEdit(
        wire.HeaderModifier(
            set=[entry for modifier in modifiers for entry in modifier.set],
            add=[entry for modifier in modifiers for entry in modifier.add],
            remove=[name for modifier in modifiers for name in modifier.remove],
        )
    )


def _name(name: str) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"header name {name!r} has characters that no header name may have")
    if name.lower() in FIXED:
        raise ValueError(f"header {name} cannot be modified: it belongs to the connection, the framing or the host")
    return name.lower().encode()


def _field(name: str, value: str) -> Field:
    _name(name)
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of header {name} has control characters")
    return field(name.encode(), value.strip(" \t").encode())
