"""Several workers share one stream: a change is in effect in all of them before it is acknowledged."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.control import build
from tests.fakes.load import Address, Server, calling
from tests.fakes.mesh import running, slice_of
from tests.fakes.origin import ok

CONNECTIONS = 24
ROUNDS = 4
ACKS = "meshcontrol_push_latency_seconds_count"


@contextlib.contextmanager
def standing(address: Address) -> Iterator[list[http.client.HTTPConnection]]:
    """Connections that stay, shared out between the workers by the kernel."""
    found = [http.client.HTTPConnection(*address, timeout=10) for _ in range(CONNECTIONS)]
    try:
        yield found
    finally:
        for one in found:
            one.close()


def ask(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    connection.request("GET", "/", headers={"host": "echo"})
    response = connection.getresponse()
    return response.status, response.read()


def test_a_change_is_not_acknowledged_before_the_last_worker_has_it(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane = mesh.control()
        old, new = (mesh.server(Server(ok(body))) for body in (b"old", b"new"))
        plane.apply(build.service("echo"), slice_of("echo", old))
        client = mesh.sidecar(plane.url, "--workers", "2")
        mesh.until(lambda: client.metric("meshproxy_workers ") == 2)
        (pid,) = {int(found[1]) for line in client.log if (found := re.search(r"worker 1 \(pid (\d+)\) accepts", line))}
        with calling(client.addresses["outbound"], callers=16) as load:
            mesh.until(lambda: load.total > 100)
            before = plane.metric(ACKS)
            os.kill(pid, signal.SIGSTOP)
            try:
                plane.apply(slice_of("echo", new))
                # The other worker has it already.
                mesh.until(lambda: load.outcomes[200, b"new"] > 20)
                assert plane.metric(ACKS) == before
                assert not plane.proxies()["client-1"]["synced"]
            finally:
                os.kill(pid, signal.SIGCONT)
            mesh.until(lambda: plane.metric(ACKS) > before)
        assert set(load.outcomes) == {(200, b"old"), (200, b"new")}


def test_a_change_is_in_effect_in_every_worker_before_it_is_acknowledged(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane = mesh.control()
        places = [mesh.server(Server(ok(body))) for body in (b"even", b"odd")]
        plane.apply(build.service("echo"), slice_of("echo", places[0]))
        client = mesh.sidecar(plane.url, "--workers", "2")
        mesh.until(lambda: client.metric("meshproxy_workers ") == 2)
        with standing(client.addresses["outbound"]) as connections:
            assert {ask(one) for one in connections} == {(200, b"even")}
            for n in range(1, ROUNDS + 1):
                before = plane.metric(ACKS)
                plane.apply(slice_of("echo", places[n % 2]))
                mesh.until(lambda before=before: plane.metric(ACKS) > before)
                assert {ask(one) for one in connections} == {(200, (b"even", b"odd")[n % 2])}
        assert plane.metric("meshcontrol_streams ") == 1
        assert set(plane.proxies()) == {"client-1"}
        requests = CONNECTIONS * (ROUNDS + 1)
        mesh.until(lambda: client.metric(r'meshproxy_requests_total\{.*code="200"') == requests)
        assert "shop/echo:80" in plane.meshctl("proxies", "shop/client-1", "metrics")
