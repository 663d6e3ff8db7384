"""Names that a client makes up cost neither the sidecar nor the control plane more than a bounded amount."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

from meshproxy.discovery.wants import Limits
from tests.control import build
from tests.fakes.load import Address, Server, calling
from tests.fakes.mesh import resident_bytes, running, slice_of
from tests.fakes.origin import ok

WARM_NAMES = 10_000
NAMES = 50_000
BATCH = 250
MEBIBYTE = 1 << 20


def ask(address: Address, names: list[str]) -> int:
    """Ask for all of them, pipelined; returns how many of the answers are errors of the client or the sidecar."""
    answered = failed = 0
    with socket.create_connection(address, 10) as sock:
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            sock.sendall("".join(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n" for name in batch).encode())
            rest = b""
            while answered < start + len(batch):
                piece = sock.recv(1 << 18)
                assert piece, f"the end after {answered} answers"
                *lines, rest = (rest + piece).split(b"\r\n")
                heads = [line for line in lines if b"HTTP/1.1 " in line]
                answered += len(heads)
                failed += sum(head.rpartition(b"HTTP/1.1 ")[2][:3] in {b"404", b"503"} for head in heads)
    return failed


def flood(address: Address, name_of: Callable[[int], str], count: int, callers: int = 4) -> int:
    failed = [0] * callers

    def call(caller: int) -> None:
        failed[caller] = ask(address, [name_of(n) for n in range(caller, count, callers)])

    threads = [threading.Thread(target=call, args=(n,)) for n in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(failed)


def test_made_up_names_are_bounded_everywhere(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane = mesh.control()
        plane.apply(build.service("echo"), slice_of("echo", mesh.server(Server(ok()))))
        client = mesh.sidecar(plane.url)
        address = client.addresses["outbound"]
        with calling(address, callers=1) as load:
            assert flood(address, lambda n: f"warm-{n}.{'shop' if n % 2 else 'bank'}", WARM_NAMES) == WARM_NAMES
            warm, plane_warm = resident_bytes(client.process.pid), resident_bytes(plane.pid)
            total = load.total
            assert flood(address, lambda n: f"name-{n}.{'shop' if n % 2 else f'ns-{n}'}", NAMES) == NAMES
            grown = resident_bytes(client.process.pid) - warm
            plane_grown = resident_bytes(plane.pid) - plane_warm
            assert load.total > total
        assert set(load.outcomes) == {(200, b"ok")}
        assert grown < 15 * MEBIBYTE
        assert plane_grown < 15 * MEBIBYTE
        # Each name is one to follow once it is known not to exist, and a few more until then.
        limits = Limits()
        bound = limits.called + 3 * limits.unanswered + limits.own + 8
        assert 0 < client.metric("meshproxy_subscriptions ") <= bound
        mesh.until(lambda: plane.metric("meshcontrol_subscriptions ") <= bound)
        assert plane.metric("meshcontrol_streams ") == 1
        assert plane.metric("meshcontrol_streams_closed_total") == 0
        refused = client.metric(r'meshproxy_wants_total\{outcome="refused"\}')
        assert refused > NAMES / 2
        mesh.until(lambda: plane.proxies()["client-1"]["synced"])
