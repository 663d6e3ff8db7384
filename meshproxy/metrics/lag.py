"""How late the event loop is: what every request waits before it is even looked at."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable

from meshproxy.metrics.slots import Registry

INTERVAL_S = 1.0
WINDOW = 15
"""Measurements that the gauge looks back on, so that scrapes 15 s apart see every stall."""


class LoopLag:
    """`meshproxy_event_loop_lag_seconds`: the worst lateness of a timer in the last 15 s; grain 1 ms."""

    __slots__ = ("_due", "_handle", "_late_s", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, registry: Registry) -> None:
        self._loop = loop
        self._late_s: deque[float] = deque([0.0], maxlen=WINDOW)
        registry.gauge("meshproxy_event_loop_lag_seconds", "Worst timer lateness in 15 s.", read=self._read)
        self._arm()

    def _arm(self) -> None:
        self._due = time.monotonic() + INTERVAL_S
        self._handle = self._loop.call_later(INTERVAL_S, self._on_due)

    def _on_due(self) -> None:
        self._late_s.append(max(0.0, time.monotonic() - self._due))
        self._arm()

    def close(self) -> None:
        self._handle.cancel()

    def _read(self) -> Iterable[tuple[tuple[str, ...], float]]:
        return [((), max(self._late_s))]
