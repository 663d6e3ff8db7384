"""Listening sockets."""

from __future__ import annotations

import errno
import select
import socket

import pytest

from meshproxy.proxy.place import listen, turn_away


def test_who_is_turned_away_does_not_connect_and_who_was_before_does():
    with listen(("127.0.0.1", 0)) as sock, socket.socket() as early, socket.socket() as late:
        for client in (early, late):
            client.setblocking(False)
        assert early.connect_ex(sock.getsockname()) in (0, errno.EINPROGRESS)
        turn_away(sock)
        assert late.connect_ex(sock.getsockname()) == errno.EINPROGRESS
        accepted, address = sock.accept()
        with accepted:
            assert address == early.getsockname()
            with pytest.raises(BlockingIOError):
                sock.accept()
            assert select.select([], [late], [], 0) == ([], [], [])
            # What was accepted works, to its end.
            early.send(b"hello")
            assert accepted.recv(5) == b"hello"
            early.shutdown(socket.SHUT_WR)
            select.select([accepted], [], [], 5)
            assert accepted.recv(5) == b""
        sock.close()
        _, failed, _ = select.select([], [late], [], 5)
        assert failed
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_a_socket_that_takes_no_filter_is_left_as_it_is():
    sock = listen(("127.0.0.1", 0))
    sock.close()
    turn_away(sock)
