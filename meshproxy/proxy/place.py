"""Places to listen on: sockets bound before there is a listener, for one process or for several."""

from __future__ import annotations

import socket
import struct
from array import array

from meshproxy.config import Address
from meshproxy.wire.address import format_place

BACKLOG = 4_096

_SO_ATTACH_FILTER = 26  # socket(7)
# Classic BPF on the TCP header: a segment with SYN is dropped, any other one passes.
_NO_SYN = (
    (0x30, 0, 0, 13),  # A = the flags
    (0x54, 0, 0, 0x02),  # A &= SYN
    (0x15, 0, 1, 0x02),
    (0x06, 0, 0, 0),  # return 0 bytes
    (0x06, 0, 0, 0x40000),  # return all of it
)


def listen(address: Address, *, is_shared: bool = False) -> socket.socket:
    """A bound, listening, non-blocking socket; other processes of ours may listen there too if it `is_shared`.

    Raises OSError whose strerror names the address.
    """
    return _make(address, BACKLOG, is_shared=is_shared)


def reserve(address: Address) -> socket.socket:
    """Bind without listening: the port (chosen by the system for 0) is kept for those who share it.

    Raises OSError as `listen` does, also when somebody else listens there, sharing or not.
    """
    # Who shares a port may join any other of the same user who does: only a plain socket meets the conflict.
    _make(address, 0, is_shared=False).close()
    return _make(address, 0, is_shared=True)


def turn_away(sock: socket.socket) -> None:
    """Let nobody new begin to connect to a listening socket, while those whose handshake is under way still can.

    To close it would reset the latter, who may have sent a request already. Who is turned away tries again a second
    later by itself, and is refused then. Where the system knows no such filter nothing happens.
    """
    code = array("B", b"".join(struct.pack("=HBBI", *step) for step in _NO_SYN))
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(_NO_SYN), code.buffer_info()[0]))
    except OSError:
        return


def _make(address: Address, backlog: int, *, is_shared: bool) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setblocking(False)
        sock.bind(address)
        if backlog:
            sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{format_place(address)}: {error.strerror}") from None
    return sock
