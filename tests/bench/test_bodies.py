from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.bench.bulk import transfer
from tests.bench.origin import Origin

SIZE = 5_000_003


@pytest.fixture
def port() -> Iterator[int]:
    with Origin(0) as origin:
        thread = threading.Thread(target=origin.serve_forever, args=(0.01,))
        thread.start()
        yield origin.server_address[1]
        origin.shutdown()
        thread.join()


@pytest.mark.parametrize("way", ["download", "upload"])
@pytest.mark.parametrize("size", [0, 1, SIZE, 70_000_000])
def test_a_body_arrives_whole(port: int, way: str, size: int) -> None:
    assert transfer(port, way, size)["failed"] == 0


def test_the_origin_keeps_a_connection_for_the_next_request(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        for _ in range(2):
            sock.sendall(b"PUT / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc")
            assert sock.recv(1000).endswith(b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\n",
        b"",
    ],
)
def test_a_response_that_is_cut_or_no_200_is_a_failure(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(1000)
                accepted.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert transfer(listener.getsockname()[1], "download", 5)["failed"] == 1
        thread.join()
