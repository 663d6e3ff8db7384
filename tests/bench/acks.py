"""From changes and Acks to how long each took. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from tests.bench.cluster import Change
from tests.bench.sidecars import Ack


def delays(
    changes: Sequence[Change], acks: Iterable[Ack], followers: Mapping[int, Sequence[int]]
) -> tuple[list[float], int]:
    """For each change and each of its Service's followers the time to the first Ack; sorted, and how many are missing.

    A change is overtaken by a later one of the same Service: whoever has acknowledged that has acknowledged both.
    """
    services = {change.turn: change.service for change in changes}
    heard: dict[tuple[int, int], list[Ack]] = {}
    for ack in acks:
        if ack.turn in services:
            heard.setdefault((services[ack.turn], ack.stream), []).append(ack)
    found: list[float] = []
    missing = 0
    for change in changes:
        for stream in followers.get(change.service, ()):
            row = heard.get((change.service, stream), [])
            place = bisect_left(row, change.turn, key=lambda ack: ack.turn)
            if place < len(row):
                found.append(row[place].at - change.at)
            else:
                missing += 1
    return sorted(found), missing
