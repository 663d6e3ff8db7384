"""Waking up on time: a timer of the kernel's, because an event loop's own have a grain of a millisecond."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

_NS = 1_000_000_000
_CLOCK_MONOTONIC = 1


if sys.version_info >= (3, 13):

    def _create() -> int:
        return os.timerfd_create(_CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

    def _setter(fd: int) -> Callable[[int], None]:
        def set_ns(moment_ns: int) -> None:
            os.timerfd_settime_ns(fd, flags=os.TFD_TIMER_ABSTIME, initial=moment_ns)

        return set_ns

else:
    _libc = ctypes.CDLL(None, use_errno=True)

    class _Setting(ctypes.Structure):
        """struct itimerspec of timerfd_settime(2)."""

        _fields_ = (
            ("interval_s", ctypes.c_long),
            ("interval_ns", ctypes.c_long),
            ("value_s", ctypes.c_long),
            ("value_ns", ctypes.c_long),
        )

    _TFD_TIMER_ABSTIME = 1

    def _create() -> int:
        fd: int = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return fd

    def _setter(fd: int) -> Callable[[int], None]:
        setting = _Setting()
        place = ctypes.byref(setting)
        settime = _libc.timerfd_settime

        def set_ns(moment_ns: int) -> None:
            setting.value_s, setting.value_ns = divmod(moment_ns, _NS)
            if settime(fd, _TFD_TIMER_ABSTIME, place, None):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

        return set_ns


class Alarm:
    """Calls `ring` at a moment of CLOCK_MONOTONIC, to within tens of microseconds; timerfd_create(2).

    It rings again and again until it is set anew or silenced: setting it is also what takes the last expiry back, and
    saves a read for each.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = _create()
        self._set_ns = _setter(self._fd)
        self._loop.add_reader(self._fd, ring)

    def set(self, moment_s: float) -> None:
        """A moment that has passed rings at once."""
        self._set_ns(max(1, int(moment_s * _NS)))  # 0 would be never

    def silence(self) -> None:
        self._set_ns(0)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
