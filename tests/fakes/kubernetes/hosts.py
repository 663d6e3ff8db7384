"""Loopback addresses of this test process's own, so that a port there stays free while nobody listens."""

from __future__ import annotations

import itertools
import os

_numbers = itertools.count(1)


def own_host() -> str:
    """Another address each time. No client gets it for its own end of a connection."""
    pid = os.getpid()
    number = next(_numbers)
    return f"127.{128 + (pid >> 8) % 64}.{pid & 255}.{1 + number % 254}"
