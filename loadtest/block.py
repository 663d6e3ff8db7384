"""A block of loopback addresses for one run: fixed ports, and nobody else's."""

from __future__ import annotations

import errno
import os
import socket

APP_PORT = 17080
"""Where instances of origins listen, each on an address of its own, as Pods do.

Not 8080: a server that listens there on every address, as many do, would be in the way.
"""
_NETWORK = 127
_LOCK_PORT = 7999
_LAST = 254


class NoBlockError(Exception):
    """No block can be had. The message says what to do about it."""


class Block:
    """127.A.B.0/24, claimed until `release` by a socket bound in it, so that runs side by side do not meet.

    Ports below the ephemeral range on addresses that nothing else uses: no outgoing connection can take one meanwhile,
    and a configuration that is shown to people reads like one of a cluster.
    """

    def __init__(self) -> None:
        self._lock, self._prefix = _claim()
        self._used = 0

    def address(self) -> str:
        """The next address of the block that was not given out yet."""
        self._used += 1
        if self._used >= _LAST:
            raise NoBlockError("a run has at most 253 addresses: fewer instances or replacements are allowed")
        return f"{self._prefix}.{self._used}"

    def release(self) -> None:
        self._lock.close()


def _claim() -> tuple[socket.socket, str]:
    first = os.getpid()
    for step in range(200 * 254):
        number = (first + step) % (200 * 254)
        prefix = f"{_NETWORK}.{40 + number // 254}.{1 + number % 254}"
        lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            lock.bind((f"{prefix}.{_LAST}", _LOCK_PORT))
        except OSError as error:
            lock.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise NoBlockError(
                f"{prefix}.{_LAST}:{_LOCK_PORT} cannot be bound ({error.strerror}): every address of 127.0.0.0/8 has "
                "to be on the loopback interface, as it is on Linux; on another system, run in a container"
            ) from None
        return lock, prefix
    raise NoBlockError("every block of loopback addresses is taken: wait until other runs have ended")
