"""The one timer of the event loop that drives the wheel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from meshproxy.kit.wheel import Wheel

SETTLE_S = 0.001
"""uvloop rounds to milliseconds and may wake us one too early; a wake-up that much later finds the slot due."""


class Driver:
    """Calls `wheel.advance` when something is due. Arm timers on `wheel` directly; all in the loop's own thread.

    A timer that fails is reported to the loop's exception handler, and the others go on.
    """

    __slots__ = ("_at", "_clock", "_handle", "_loop", "wheel")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.monotonic) -> None:
        self.wheel = Wheel(self._on_earlier)
        self._loop = loop
        self._clock = clock
        self._handle: asyncio.TimerHandle | None = None
        self._at = 0.0  # what the handle is set to; meaningful while there is one

    def close(self) -> None:
        """Stop driving; what is armed never fires."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self.wheel = Wheel()

    def _on_earlier(self, at: float) -> None:
        if self._handle is not None:
            if self._at <= at:
                return
            self._handle.cancel()
        self._at = at
        # The loop's clock has its own grain, perhaps its own zero: only the distance carries over.
        self._handle = self._loop.call_later(max(0.0, at - self._clock()) + SETTLE_S, self._on_due)

    def _on_due(self) -> None:
        self._handle = None
        wheel = self.wheel
        try:
            wheel.advance(self._clock())
        except ExceptionGroup as failures:
            self._loop.call_exception_handler({"message": "timers failed", "exception": failures})
        if wheel is self.wheel and (at := wheel.next_at()) is not None:
            self._on_earlier(at)
