"""The orderly end of a sidecar's traffic, in the order that loses no request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from meshproxy.proxy.listener import Listener
    from meshproxy.proxy.stack import Stack

QUIET_S = 3.0
"""So long without a new connection means that nobody sends any more."""
TICK_S = 0.05
"""How often is looked at what is left."""


class Side(NamedTuple):
    """One direction: what accepts, and what is under way."""

    stack: Stack
    listener: Listener

    @property
    def is_empty(self) -> bool:
        return not self.stack.connections and not self.listener.halfway


async def drain(sides: Sequence[Side], drain_s: float) -> int:
    """End the sides in turn, inbound first, within `drain_s`; returns how many exchanges had to be cut short.

    All responses say from now on that they are the last of their connection, but accepting goes on until no new
    connection came for QUIET_S, or half of the time has passed: whoever learns late that this workload ends is still
    served. Inbound comes first, in whatever order the sides are given: what it still works on may have to call others.
    """
    began = monotonic()
    sides = sorted(sides, key=lambda side: side.stack.direction != "inbound")
    for side in sides:
        side.stack.is_draining = True
        # Idle ones stay open for now: to close one as its client uses it would lose that request.
        for connection in side.stack.connections:
            connection.announce_end()
    for side in sides:
        while (  # noqa: ASYNC110 - nothing tells that somebody did not come
            monotonic() < began + drain_s / 2 and monotonic() - max(began, side.listener.last_accept_at) < QUIET_S
        ):
            await asyncio.sleep(TICK_S)
        side.listener.turn_away()
        await asyncio.sleep(min(TICK_S, drain_s / 2))
        side.listener.stop_accepting()
        while monotonic() < began + drain_s and not side.is_empty:
            for connection in list(side.stack.connections):
                connection.end_if_idle()
            await asyncio.sleep(TICK_S)
    cut = sum(side.stack.active for side in sides)
    for side in sides:
        side.listener.close()
        for connection in list(side.stack.connections):
            connection.transport.abort()
    await asyncio.sleep(0)
    return cut
