"""Bodies of 100 MB each way through a real sidecar: memory stays flat."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.fakes.load import Server
from tests.fakes.process import Sidecar, started
from tests.fakes.snapshots import service

SIZE = 100_000_000
PIECE = bytes(range(256)) * 400  # 102 400 bytes
COUNT = SIZE // len(PIECE)
GROWTH_BYTES = 12_000_000
CHUNK = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)


class Bulk(Server):
    """GET: a body by the framing that the target names; POST: takes the body and answers with its size and digest."""

    def __init__(self) -> None:
        super().__init__(b"")

    def _serve(self, sock):
        with sock:
            head, body = _head(sock)
            if head.startswith(b"POST"):
                is_chunked = b"transfer-encoding: chunked" in head.lower()
                size, digest = _take(sock, body, 10 * SIZE if is_chunked else COUNT * len(PIECE))
                answer = b"%d %b" % (size, digest.encode())
                sock.sendall(
                    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer)
                )
            elif b"/chunked" in head:
                sock.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
                _send(sock, CHUNK)
                sock.sendall(b"0\r\n\r\n")
            else:
                sock.sendall(
                    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % (COUNT * len(PIECE))
                )
                _send(sock, PIECE)


def _head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65_536)
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _send(sock: socket.socket, data: bytes) -> None:
    for _ in range(COUNT):
        sock.sendall(data)


def _take(sock: socket.socket, data: bytes, size: int) -> tuple[int, str]:
    """The size of a body on the wire, chunks and all, and its digest. It ends at `size` or with the last chunk."""
    digest = hashlib.sha1(data)
    taken, tail = len(data), data[-7:]
    while taken < size and tail != b"\r\n0\r\n\r\n":
        piece = sock.recv(262_144)
        if not piece:
            break
        taken += len(piece)
        digest.update(piece)
        tail = (tail + piece)[-7:]
    return taken, digest.hexdigest()


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    bulk = Bulk()
    with started(tmp_path_factory.mktemp("sidecar"), service("bulk", [bulk])) as one:
        yield one
    bulk.stop()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_big_response_passes_in_flat_memory(sidecar: Sidecar, framing: str) -> None:
    before = sidecar.peak_bytes
    with socket.create_connection(sidecar.addresses["outbound"], timeout=20) as sock:
        sock.sendall(b"GET /%b HTTP/1.1\r\nHost: bulk\r\n\r\n" % framing.encode())
        head, body = _head(sock)
        assert head.startswith(b"HTTP/1.1 200 ")
        if framing == "length":
            assert _take(sock, body, COUNT * len(PIECE))[1] == hashlib.sha1(PIECE * COUNT).hexdigest()
        else:
            assert _take(sock, body, 10 * SIZE)[0] >= COUNT * len(PIECE)
    assert sidecar.peak_bytes - before < GROWTH_BYTES


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_big_request_passes_in_flat_memory(sidecar: Sidecar, framing: str) -> None:
    before = sidecar.peak_bytes
    with socket.create_connection(sidecar.addresses["outbound"], timeout=20) as sock:
        field = b"Content-Length: %d" % (COUNT * len(PIECE)) if framing == "length" else b"Transfer-Encoding: chunked"
        sock.sendall(b"POST / HTTP/1.1\r\nHost: bulk\r\n%b\r\n\r\n" % field)
        sending = threading.Thread(target=_send, args=(sock, PIECE if framing == "length" else CHUNK))
        sending.start()
        sending.join()
        if framing == "chunked":
            sock.sendall(b"0\r\n\r\n")
        head, body = _head(sock)
        assert head.startswith(b"HTTP/1.1 200 ")
        size, digest = body.split()
        assert int(size) >= COUNT * len(PIECE)
        if framing == "length":
            assert digest.decode() == hashlib.sha1(PIECE * COUNT).hexdigest()
    assert sidecar.peak_bytes - before < GROWTH_BYTES
