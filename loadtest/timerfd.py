"""The kernel's timers, because an event loop's own have a grain of a millisecond: timerfd_create(2)."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

_NS = 1_000_000_000
_CLOCK_MONOTONIC = 1

if sys.version_info >= (3, 13):

    def create() -> int:
        """A descriptor of CLOCK_MONOTONIC, to be read when it has expired; OSError when there is none to be had."""
        return os.timerfd_create(_CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

    def _setter_ns(fd: int) -> Callable[[int], None]:
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

    def create() -> int:
        """A descriptor of CLOCK_MONOTONIC, to be read when it has expired; OSError when there is none to be had."""
        fd: int = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return fd

    def _setter_ns(fd: int) -> Callable[[int], None]:
        setting = _Setting()
        place = ctypes.byref(setting)
        settime = _libc.timerfd_settime

        def set_ns(moment_ns: int) -> None:
            setting.value_s, setting.value_ns = divmod(moment_ns, _NS)
            if settime(fd, _TFD_TIMER_ABSTIME, place, None):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

        return set_ns


def setter(fd: int) -> Callable[[float | None], None]:
    """Sets the timer to a moment in seconds, one that has passed to at once; None takes it back."""
    set_ns = _setter_ns(fd)

    def set_moment(moment_s: float | None) -> None:
        set_ns(0 if moment_s is None else max(1, int(moment_s * _NS)))  # 0 is never

    return set_moment
