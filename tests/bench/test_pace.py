from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.bench import pace

STALL_S = 0.3


class Server(socketserver.ThreadingTCPServer):
    """Answers every request; `answers` maps the number of a request to what is done instead."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.lock = threading.Lock()
        self.count = 0
        self.stall_from = self.refuse = self.close = -1
        self.stalled_until = 0.0


class Answer(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        while data := self.request.recv(65536):
            server = self.server
            with server.lock:
                server.count += 1
                number = server.count
                if number == server.stall_from:
                    server.stalled_until = time.monotonic() + STALL_S
                wait_s = server.stalled_until - time.monotonic()
            if wait_s > 0:
                threading.Event().wait(wait_s)
            if number == server.close:
                self.request.shutdown(socket.SHUT_RDWR)
                return
            status = b"503 No" if number == server.refuse else b"200 OK"
            # The head's length varies, as a proxy's own fields do.
            self.request.sendall(b"HTTP/1.1 %b\r\nn: %d\r\nContent-Length: 4\r\n\r\nbody" % (status, number))
            if b"close" in data:
                return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def port(server: Server) -> int:
    return server.server_address[1]


def test_every_intended_request_is_made_and_answered(server: Server) -> None:
    result = pace.run(port(server), 500, 0.4, 0.2)
    assert result["failed"] == 0
    assert result["rps"] == pytest.approx(500, rel=0.01)
    # One more that learns the body.
    assert server.count == pytest.approx(301, abs=1)


def test_a_stall_is_charged_to_every_request_that_it_delayed(server: Server) -> None:
    server.stall_from = 60
    result = pace.run(port(server), 500, 0.8, 0)
    assert result["failed"] == 0
    assert result["p100_us"] >= STALL_S * 0.9 * 1e6
    # 0.3 of 0.8 s were stalled: a fifth of all requests waited for more than a third of the stall.
    assert result["p90_us"] >= STALL_S * 0.33 * 1e6


def test_an_answer_that_is_no_200_is_a_failure(server: Server) -> None:
    server.refuse = 20
    assert pace.run(port(server), 500, 0.2, 0)["failed"] == 1


def test_a_closed_connection_is_a_failure_and_is_replaced(server: Server) -> None:
    server.close = 20
    result = pace.run(port(server), 500, 0.2, 0)
    assert result["failed"] == 1
    assert result["rps"] == pytest.approx(495, rel=0.02)


def test_a_first_answer_that_is_no_200_ends_the_run(server: Server) -> None:
    server.refuse = 1
    with pytest.raises(RuntimeError, match="503"):
        pace.run(port(server), 500, 0.2, 0)


@pytest.mark.parametrize(("share", "expected"), [(50, 5.0), (90, 9.0), (99, 10.0), (99.9, 10.0), (100, 10.0), (1, 1.0)])
def test_percentiles_are_by_nearest_rank(share: float, expected: float) -> None:
    assert pace.percentile([float(n) for n in range(1, 11)], share) == expected
