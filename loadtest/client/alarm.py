"""Waking up on time, by a timer of the kernel's or by not sleeping at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from loadtest import timerfd


class Alarm(Protocol):
    """Calls its `ring`, never early, at a moment of CLOCK_MONOTONIC, from the event loop.

    It rings again and again until it is set anew or silenced.
    """

    def set(self, moment_s: float) -> None:
        """A moment that has passed rings at once, but not from within."""
        ...

    def silence(self) -> None: ...

    def close(self) -> None:
        """Once; it rings no more."""
        ...


class TimerAlarm:
    """Sleeps meanwhile: late by tens of microseconds, or by as much as the machine takes to give a core back.

    Setting it is also what takes the last expiry back, which saves a read for each.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = timerfd.create()
        self._set = timerfd.setter(self._fd)
        self._loop.add_reader(self._fd, ring)

    def set(self, moment_s: float) -> None:
        self._set(moment_s)

    def silence(self) -> None:
        self._set(None)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


class BusyAlarm:
    """Looks at the clock in every turn of the event loop, so that its core never sleeps: late by microseconds."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._moment_s: float | None = None
        self._turn: asyncio.Handle | None = None

    def set(self, moment_s: float) -> None:
        self._moment_s = moment_s
        if self._turn is None:
            self._turn = self._loop.call_soon(self._on_turn)

    def _on_turn(self) -> None:
        if self._moment_s is None:
            self._turn = None
            return
        self._turn = self._loop.call_soon(self._on_turn)
        if monotonic() >= self._moment_s:
            self._ring()

    def silence(self) -> None:
        self._moment_s = None

    def close(self) -> None:
        self._moment_s = None
