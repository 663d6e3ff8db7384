"""TLS or plain? Told by looking at a connection's first bytes without taking them.

Bytes that were read cannot be given to a TLS transport any more, so the socket is peeked at before a transport exists.
One byte decides: a TLS record of a handshake begins with 0x16, which no HTTP request can begin with.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

HANDSHAKE_RECORD = 0x16  # RFC 8446 section 5.1: ContentType handshake(22)
LEGACY_MAJOR = 0x03  # the same: legacy_record_version is 0x0301 or 0x0303

Handover = Callable[[socket.socket], None]

PEEK = socket.MSG_PEEK | socket.MSG_DONTWAIT


def is_tls(first: bytes) -> bool:
    """Whether a connection that begins with `first` (at least one byte) speaks TLS."""
    return first[0] == HANDSHAKE_RECORD and (len(first) == 1 or first[1] == LEGACY_MAJOR)


def peek(sock: socket.socket) -> bytes | None:
    """The first bytes, left where they are; empty at the end or after an error, None when nothing is there yet."""
    try:
        return sock.recv(2, PEEK)
    except BlockingIOError:
        return None
    except OSError:
        return b""


class Detector:
    """Holds accepted sockets until their first bytes are there, and hands each to `on_tls` or `on_plain`.

    One that stays silent for `timeout_s` is handed to `on_silent`; one that ends before its first byte is closed and
    counted in `closed`. All wait equally long, so that the order of arrival is the order of deadlines and one timer
    serves all.
    """

    __slots__ = ("_loop", "_on_plain", "_on_silent", "_on_tls", "_timeout_s", "_timer", "_waiting", "closed")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_plain: Handover,
        on_tls: Handover,
        on_silent: Handover,
        timeout_s: float,
    ) -> None:
        self._loop = loop
        self._on_plain = on_plain
        self._on_tls = on_tls
        self._on_silent = on_silent
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[socket.socket, float] = {}  # to the deadline, in its order
        self.closed = 0

    def __len__(self) -> int:
        """How many are waiting."""
        return len(self._waiting)

    def take(self, sock: socket.socket) -> None:
        """Owns `sock` (non-blocking) until it is handed on or closed."""
        first = peek(sock)
        if first is not None:
            self._decide(sock, first)
            return
        self._waiting[sock] = self._loop.time() + self._timeout_s
        self._loop.add_reader(sock, self._on_readable, sock)
        self._arm()

    def release_oldest(self) -> bool:
        """Treats the one that has been silent longest as timed out; False when none is waiting."""
        sock = next(iter(self._waiting), None)
        if sock is None:
            return False
        self._forget(sock)
        self._on_silent(sock)
        return True

    def close(self) -> None:
        """Closes all that wait."""
        for sock in list(self._waiting):
            self._forget(sock)
            sock.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_readable(self, sock: socket.socket) -> None:
        first = peek(sock)
        if first is not None:
            self._forget(sock)  # before it is handed on: a transport refuses a socket that has a reader
            self._decide(sock, first)

    def _decide(self, sock: socket.socket, first: bytes) -> None:
        if not first:
            self.closed += 1
            sock.close()
        elif is_tls(first):
            self._on_tls(sock)
        else:
            self._on_plain(sock)

    def _forget(self, sock: socket.socket) -> None:
        del self._waiting[sock]
        self._loop.remove_reader(sock)

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._loop.call_at(next(iter(self._waiting.values())), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._waiting and next(iter(self._waiting.values())) <= now:
            self.release_oldest()
        self._arm()
