"""What the kernel is asked to do with an instance's packets. Linux, without privileges."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)
"""Classic BPF, one instruction: BPF_RET | BPF_K, 0 bytes of the packet are kept (socket(7), SO_ATTACH_FILTER)."""
_program = ctypes.create_string_buffer(_DROP_ALL)
_FPROG = struct.pack("HP", 1, ctypes.addressof(_program))
_LINGER_0 = struct.pack("ii", 1, 0)


def drop(fd: int) -> None:
    """From now on what is sent to this socket vanishes before TCP sees it: it is neither received nor acknowledged."""
    with _socket(fd) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _FPROG)


def admit(fd: int) -> None:
    """Packets arrive again; what vanished is sent again by the other side's kernel. Harmless when none were dropped."""
    with _socket(fd) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        except FileNotFoundError:
            return


def reset_on_close(fd: int) -> None:
    """Closing it sends a reset in place of a FIN, and drops what is not sent yet (socket(7), SO_LINGER 0)."""
    with _socket(fd) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)


@contextmanager
def _socket(fd: int) -> Iterator[socket.socket]:
    sock = socket.socket(fileno=fd)
    try:
        yield sock
    finally:
        sock.detach()
