"""Waking up on time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from loadtest import timerfd


class Alarm:
    """Calls `ring` at a moment of CLOCK_MONOTONIC, to within tens of microseconds.

    It rings again and again until it is set anew or silenced: setting it is also what takes the last expiry back, and
    saves a read for each.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = timerfd.create()
        self._set = timerfd.setter(self._fd)
        self._loop.add_reader(self._fd, ring)

    def set(self, moment_s: float) -> None:
        """A moment that has passed rings at once."""
        self._set(moment_s)

    def silence(self) -> None:
        self._set(None)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
