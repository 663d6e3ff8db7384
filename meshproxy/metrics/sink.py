"""A bounded way out for log lines that never blocks the loop: whoever does not read loses lines, not requests."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import stat
from collections.abc import Callable

BUFFER_BYTES = 1_048_576
"""Lines that wait; more are dropped and counted."""
WRITE_BYTES = 65_536
"""Written in one turn: a pipe's capacity, and a copy of microseconds where the output is a file."""
FLUSH_S = 0.1


class Sink:
    """Takes whole lines for a descriptor (standard output, usually) and writes them from the loop.

    `on_dropped(lines)` hears of every line that found no room, or no reader. What is `shared` with other processes is
    written in whole lines, so few at once that each write is one piece to the kernel (pipe(7), PIPE_BUF); only a line
    that is longer by itself may be mixed with others.
    """

    __slots__ = (
        "_buffer", "_fd", "_handle", "_is_closed", "_is_waiting", "_loop", "_most_bytes", "_on_dropped", "_socket",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, on_dropped: Callable[[int], None], *, shared: bool = False
    ) -> None:
        self._loop = loop
        self._on_dropped = on_dropped
        self._fd = _own(fd)
        is_file = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._most_bytes = (WRITE_BYTES if is_file else select.PIPE_BUF) if shared else 0
        self._socket = socket.socket(fileno=self._fd) if stat.S_ISSOCK(os.fstat(self._fd).st_mode) else None
        self._buffer = bytearray()
        self._handle: asyncio.Handle | None = None
        self._is_waiting = False  # for the descriptor to become writable
        self._is_closed = False

    @property
    def buffered_bytes(self) -> int:
        return len(self._buffer)

    def write(self, line: bytes) -> None:
        """Take one line, with its line feed; it is written within `FLUSH_S`, or dropped if the buffer is full."""
        if self._is_closed or len(self._buffer) + len(line) > BUFFER_BYTES:
            self._on_dropped(1)
            return
        self._buffer += line
        if self._handle is None and not self._is_waiting:
            self._handle = self._loop.call_later(FLUSH_S, self._on_flush)

    def _on_flush(self) -> None:
        self._handle = None
        written = 0
        try:
            while self._buffer and written < WRITE_BYTES:
                written += self._write_some()
        except BlockingIOError:
            self._is_waiting = True
            self._loop.add_writer(self._fd, self._on_writable)
        except OSError:  # nobody will read any more
            self._drop_all()
            self._is_closed = True
        else:
            if self._buffer:
                self._handle = self._loop.call_soon(self._on_flush)

    def _on_writable(self) -> None:
        self._loop.remove_writer(self._fd)
        self._is_waiting = False
        self._on_flush()

    def _write_some(self) -> int:
        piece = bytes(self._buffer[: self._whole_lines() or WRITE_BYTES])
        if self._socket is not None:
            written = self._socket.send(piece, socket.MSG_DONTWAIT)
        else:
            written = os.write(self._fd, piece)
        del self._buffer[:written]
        return written

    def _whole_lines(self) -> int:
        """How many bytes are as many whole lines as one write may have; at least one line."""
        if not self._most_bytes:
            return 0
        return self._buffer.rfind(b"\n", 0, self._most_bytes) + 1 or self._buffer.find(b"\n") + 1

    def _drop_all(self) -> None:
        lines = self._buffer.count(b"\n")
        self._buffer.clear()
        if lines:
            self._on_dropped(lines)

    def close(self) -> None:
        """Write what can be written now without waiting, drop the rest, and let go of the descriptor."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._is_waiting:
            self._loop.remove_writer(self._fd)
            self._is_waiting = False
        try:
            while self._buffer:
                self._write_some()
        except OSError:
            self._drop_all()
        self._is_closed = True
        if self._socket is not None:
            self._socket.close()
        elif self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def _own(fd: int) -> int:
    """A descriptor of our own for the same output, not blocking.

    Pipes and terminals are opened anew: O_NONBLOCK belongs to the open file, which other processes and standard error
    may share. A socket cannot be, and is asked not to wait at each write. A regular file never blocks, and must not be:
    standard error may go there too, and with two positions in it each would overwrite the other. If opening is
    forbidden (a pipe made by another user), the shared file becomes non-blocking after all: better than a proxy that
    stops.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode) or stat.S_ISREG(mode):
        return os.dup(fd)
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
    try:
        return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        own = os.dup(fd)
        os.set_blocking(own, False)
        return own
