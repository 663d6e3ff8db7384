"""Endpoints as several workers see them, made one report."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from meshproxy.admin.view import EndpointRow

if TYPE_CHECKING:
    from meshproxy.crew.member import Member
    from meshproxy.crew.message import Rows

_SEVERITY = {"ready": 0, "terminating": 1, "unready": 2, "ejected": 3}


class Gathering:
    """The answers to one question, of all workers that were asked."""

    __slots__ = ("_done", "_missing", "_rows")

    def __init__(self, members: Iterable[Member]) -> None:
        self._missing = set(members)
        self._rows: dict[tuple[str, str], EndpointRow] = {}
        self._done = asyncio.Event()
        if not self._missing:
            self._done.set()

    def add(self, member: Member, message: Rows) -> None:
        for row in message.rows:
            key = (row.backend, row.address)
            known = self._rows.get(key)
            self._rows[key] = row if known is None else merge(known, row)
        if message.is_last:
            self.leave(member)

    def leave(self, member: Member) -> None:
        """Nothing (more) comes from this one."""
        self._missing.discard(member)
        if not self._missing:
            self._done.set()

    async def take(self, within_s: float) -> list[EndpointRow]:
        """All rows, grouped by backend; of those that do not answer in time, what came."""
        try:
            async with asyncio.timeout(within_s):
                await self._done.wait()
        except TimeoutError:
            pass
        # Workers list a backend's endpoints together; one that only a later worker has comes behind.
        return sorted(self._rows.values(), key=lambda row: row.backend)


def merge(one: EndpointRow, other: EndpointRow) -> EndpointRow:
    """One endpoint as two workers see it: what is in flight added up, of everything else the worse."""
    return msgspec.structs.replace(
        one,
        state=max(one.state, other.state, key=lambda word: _SEVERITY.get(word, 0)),
        inflight=one.inflight + other.inflight,
        ewma_ms=max(one.ewma_ms, other.ewma_ms),
        failures=max(one.failures, other.failures),
        ejected_for_s=max(one.ejected_for_s, other.ejected_for_s),
    )
