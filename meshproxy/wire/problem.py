"""What is wrong with a resource, said so that a person can find the place."""

from __future__ import annotations

from msgspec import Struct

from meshproxy.kit.text import printable


class Problem(Struct, frozen=True):
    """`name` is the resource's (empty: the whole message), `path` the field's within it (empty: all of it)."""

    name: str
    path: str
    message: str

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.name, self.path, self.message) if part)
        # Names come from outside and this goes into a log: one line, nothing that a terminal acts on.
        return printable(text)
