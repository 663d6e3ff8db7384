"""What the store hands out, and how it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from control.model.kinds import Kind
from control.model.objects import Key
from control.model.schema import JSON

Document: TypeAlias = dict[str, JSON]
"""One object as JSON."""


class Stored(NamedTuple):
    """One object as it is kept. `body`: JSON, with `metadata.resourceVersion` the text of `version`.

    What a dry run returns has the version before it: 0, and none in its body, when there was no such object.
    """

    kind: Kind
    key: Key
    version: int
    body: bytes


class Event(NamedTuple):
    """One change. Versions follow each other without gaps. DELETED: the last state, with the deletion's version."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    kind: Kind
    key: Key
    version: int
    body: bytes
    former: bytes = b""
    """MODIFIED: the state before, so that a watcher with a selector can tell what has left its selection."""


Change: TypeAlias = Callable[[Stored | None], Document | None]
"""From the object as it is (None: there is none) to what it shall be (None: deleted).

Runs in the writer's thread, within the transaction, perhaps beside changes that are not committed yet: it decides, and
touches nothing else. What it raises changes nothing and reaches who asked for the change.
"""


class StoreError(Exception):
    """The store cannot be opened, or could not write; the message says why, for an operator."""


class Gone(LookupError):  # noqa: N818 - an answer, not a failure
    """The history does not reach back so far. `oldest`: the first version that can be asked for."""

    def __init__(self, version: int, oldest: int) -> None:
        self.version = version
        self.oldest = oldest
        super().__init__(f"too old resource version: {version} ({oldest})")
