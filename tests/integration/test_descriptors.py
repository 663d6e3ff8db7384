"""Out of file descriptors: what cannot be served is told so, and all is well again afterwards."""

from __future__ import annotations

import contextlib
import http.client
import resource
import socket
import threading
from pathlib import Path

from tests.fakes.load import Server, calling, server
from tests.fakes.origin import ok
from tests.fakes.process import started
from tests.fakes.snapshots import service

LIMIT = 64
SHED = 503, 'meshproxy; error=proxy_internal_error; details="out_of_descriptors"'


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))


def test_a_soft_limit_that_is_too_low_for_a_proxy_is_raised(tmp_path: Path) -> None:
    def usual() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4000))

    with server(ok()) as origin, started(tmp_path, service("echo", [origin]), limit=usual) as sidecar:
        assert sidecar.metric(r"process_max_fds") == 4000


def _answer(sock: socket.socket) -> tuple[int, str]:
    """Status and Proxy-Status of the next response."""
    sock.settimeout(10)
    with http.client.HTTPResponse(sock) as response:
        response.begin()
        response.read()
        return response.status, response.getheader("proxy-status", "")


def test_clients_past_the_limit_are_shed_with_the_fault_and_later_ones_served(tmp_path: Path) -> None:
    with server(ok()) as origin, started(tmp_path, service("echo", [origin]), limit=_limit) as sidecar:
        address = sidecar.addresses["outbound"]
        before = sidecar.descriptors
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(socket.create_connection(address)) for _ in range(LIMIT)]
            sidecar.until(lambda: sidecar.has_logged("starved"))
            late = stack.enter_context(socket.create_connection(address))
            late.sendall(b"GET / HTTP/1.1\r\nHost: echo\r\n\r\n")
            assert _answer(late) == SHED
            # Whoever got in has no descriptor left for its endpoint.
            held[0].sendall(b"GET / HTTP/1.1\r\nHost: echo\r\n\r\n")
            assert _answer(held[0]) == SHED
        sidecar.until(lambda: sidecar.descriptors <= before)
        assert sidecar.metric(r"meshproxy_connections_shed_total") > 0
        with calling(address) as load:
            sidecar.until(lambda: load.total > 100)
            outcomes = load.stop()
        assert set(outcomes) == {(200, b"ok")}


def test_endpoints_without_a_descriptor_are_not_blamed(tmp_path: Path) -> None:
    go = threading.Event()

    class Slow(Server):
        def _serve(self, sock):
            with sock, contextlib.suppress(ConnectionError):
                if sock.recv(65_536):
                    go.wait(10)
                    sock.sendall(self.reply)

    slow = Slow(ok())
    with started(tmp_path, service("echo", [slow]), "--access-log", "json", limit=_limit) as sidecar:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(sidecar.addresses["outbound"])) for _ in range(40)]
            for client in clients:
                client.sendall(b"GET / HTTP/1.1\r\nHost: echo\r\n\r\n")
            sidecar.until(lambda: sum(line["fault"] == "out_of_descriptors" for line in sidecar.access) > 10)
            go.set()
            answers = [_answer(client) for client in clients]
        assert set(answers) == {(200, ""), SHED}
        sidecar.until(lambda: sidecar.descriptors < 25)
        status, text = sidecar.admin("/endpoints")
        assert (status, '"state":"ready"' in text, '"failures":0' in text) == (200, True, True)
    slow.stop()
