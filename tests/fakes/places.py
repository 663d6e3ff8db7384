"""Addresses with nobody behind them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from meshproxy.wire.resources import Endpoint


def refusing() -> Endpoint:
    """An address that refuses connections."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return Endpoint(address="127.0.0.1", port=sock.getsockname()[1])


@contextlib.contextmanager
def full_backlog() -> Iterator[Endpoint]:
    """An address whose accept queue is full: the kernel drops every further SYN, as a black hole does."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(3):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(address)
        yield Endpoint(address="127.0.0.1", port=address[1])
