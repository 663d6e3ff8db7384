"""What a source of configuration hands to the traffic side, and what it says of a Service that is asked for."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from meshproxy.wire.snapshot import Entry


class Change(NamedTuple):
    """Takes effect as a whole. No name stands in more than one of the three; every entry is validated already.

    What neither stands here nor stood in a change before is not known (yet).
    """

    updated: list[Entry]
    removed: list[str]
    """Answered as not existing (any more), also when it never existed; no wildcard names."""
    forgotten: list[str]
    """Not followed any more: not known, as if it had never been asked for."""


class Outlook(Enum):
    """What becomes of a Service that was asked for. Nothing more is said of a Service that is there already."""

    COMING = "coming"
    """A change that answers is on its way, or the Service and its routes are in effect."""
    ABSENT = "absent"
    """Known not to exist, as of now."""
    REFUSED = "refused"
    """Not asked for: too many names are, or there are too many new ones at once."""
