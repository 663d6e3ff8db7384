"""What a real API server was recorded to say of a minute's life of a small cluster, in the order of its time."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

DIRECTORY = Path(__file__).parents[3] / "shared" / "kubernetes" / "recordings" / "watches"
FILES = ("services", "endpointslices", "pods-shop", "httproutes")


class Event(NamedTuple):
    """`type` is ADDED, MODIFIED or DELETED."""

    type: str
    document: dict[str, Any]


@cache
def events() -> list[Event]:
    """All watches' events, bookmarks left out. Raise FileNotFoundError where there are no recordings."""
    found: list[tuple[float, Event]] = []
    for name in FILES:
        for text in (DIRECTORY / f"{name}.jsonl").read_text().splitlines():
            line = json.loads(text)
            if "event" in line and line["event"]["type"] in {"ADDED", "MODIFIED", "DELETED"}:
                found.append((line["at_s"], Event(line["event"]["type"], line["event"]["object"])))
    return [event for _, event in sorted(found, key=lambda pair: pair[0])]


def ending(happened: list[Event]) -> list[Event]:
    """The deletions after which nothing is left of what happened."""
    left: dict[tuple[str, str, str], Event] = {}
    for event in happened:
        metadata = event.document["metadata"]
        key = event.document["kind"], metadata["namespace"], metadata["name"]
        if event.type == "DELETED":
            left.pop(key, None)
        else:
            left[key] = event
    return [event._replace(type="DELETED") for event in left.values()]
