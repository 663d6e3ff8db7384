"""The orderly end: readiness first, then no new connections, then none at all."""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.load import Address, Server, calling, server
from tests.fakes.origin import ok
from tests.fakes.process import Sidecar, started
from tests.fakes.snapshots import service


class Slow(Server):
    """Answers when `go` is set; `asked` tells of the first request."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = threading.Event()
        super().__init__(ok(b"late"))

    def _serve(self, sock):
        with sock, contextlib.suppress(ConnectionError):
            if sock.recv(65_536):
                self.asked.set()
                self.go.wait(20)
                sock.sendall(self.reply)


@pytest.fixture
def slow() -> Iterator[Slow]:
    one = Slow()
    yield one
    one.go.set()
    one.stop()


def ask(address: Address, host: str = "echo") -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(*address, timeout=20)
    connection.request("GET", "/", headers={"host": host})
    return connection, connection.getresponse()


def readiness(sidecar: Sidecar) -> int:
    connection = http.client.HTTPConnection(*sidecar.addresses["health"], timeout=10)
    try:
        connection.request("GET", "/healthz/ready")
        return connection.getresponse().status
    finally:
        connection.close()


def is_refused(address: Address) -> bool:
    try:
        ask(address)[0].close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "admin"])
def test_a_drain_accepts_on_then_finishes_what_is_under_way_and_ends_with_0(
    way: str, tmp_path: Path, slow: Slow
) -> None:
    with server(ok(b"quick")) as quick:
        entries = service("echo", [quick]) + service("slow", [slow])
        with started(tmp_path, entries, "--health", "127.0.0.1:0", "--drain-s", "3") as sidecar:
            address = sidecar.addresses["outbound"]
            assert readiness(sidecar) == 200
            late = http.client.HTTPConnection(*address, timeout=20)
            late.request("GET", "/", headers={"host": "slow"})
            slow.asked.wait(10)
            if way == "admin":
                assert sidecar.admin("/drain", "POST")[0] == 202
            else:
                sidecar.signal(signal.Signals[way])
            sidecar.until(lambda: readiness(sidecar) == 503)
            connection, response = ask(address)  # a new connection is still served, and told to end
            assert (response.status, response.read(), response.getheader("connection")) == (200, b"quick", "close")
            connection.close()
            sidecar.until(lambda: is_refused(address))
            assert sidecar.process.poll() is None
            slow.go.set()
            response = late.getresponse()
            assert (response.status, response.read(), response.getheader("connection")) == (200, b"late", "close")
            late.close()
            assert sidecar.wait() == 0
            assert sidecar.has_logged("ended")


def test_a_drain_ends_when_its_time_is_over_whatever_is_under_way(tmp_path: Path, slow: Slow) -> None:
    with started(tmp_path, service("slow", [slow]), "--drain-s", "0.5") as sidecar:
        late = http.client.HTTPConnection(*sidecar.addresses["outbound"], timeout=20)
        late.request("GET", "/", headers={"host": "slow"})
        slow.asked.wait(10)
        began = time.monotonic()
        sidecar.signal(signal.SIGTERM)
        assert sidecar.wait() == 0
        assert time.monotonic() - began < 5
        assert sidecar.has_logged("1 exchange"), sidecar.log
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            late.getresponse()
        late.close()


def test_callers_under_load_see_answers_and_then_a_refused_connection_nothing_else(tmp_path: Path) -> None:
    with server(ok()) as origin, started(tmp_path, service("echo", [origin]), "--drain-s", "1") as sidecar:
        with calling(sidecar.addresses["outbound"]) as load:
            sidecar.until(lambda: load.total > 100)
            sidecar.signal(signal.SIGTERM)
            assert sidecar.wait() == 0
            outcomes = load.stop()
        # The kernel resets whom it had accepted in the moment between our last accept and the socket's end.
        assert outcomes.pop("ConnectionResetError", 0) <= 4
        assert set(outcomes) == {(200, b"ok"), "ConnectionRefusedError"}


def test_an_idle_connection_is_not_cut_at_the_beginning_of_a_drain(tmp_path: Path) -> None:
    """A request that is on its way to us just then would be lost."""
    with server(ok()) as origin, started(tmp_path, service("echo", [origin]), "--drain-s", "4") as sidecar:
        connection, response = ask(sidecar.addresses["outbound"])
        assert response.read() == b"ok"
        sidecar.signal(signal.SIGTERM)
        sidecar.until(lambda: sidecar.admin("/healthz/ready")[0] == 503)
        connection.request("POST", "/", headers={"host": "echo"})
        response = connection.getresponse()
        assert (response.status, response.read(), response.getheader("connection")) == (200, b"ok", "close")
        connection.close()
        assert sidecar.wait() == 0
