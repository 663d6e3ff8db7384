"""The configuration changes under load: by a new file, by SIGHUP, and not by a bad one."""

from __future__ import annotations

import http.client
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshproxy.wire import resources as wire
from meshproxy.wire.snapshot import Entry, dump
from tests.fakes.load import Server, calling, server
from tests.fakes.origin import ok
from tests.fakes.process import Sidecar, started, write
from tests.fakes.snapshots import service


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    with server(ok(b"old")) as old, server(ok(b"new")) as new:
        yield old, new


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sidecar")


@pytest.fixture(scope="module")
def sidecar(place: Path, servers: tuple[Server, Server]) -> Iterator[Sidecar]:
    with started(place, service("echo", [servers[0]])) as one:
        yield one


def _taken(sidecar: Sidecar) -> float:
    return sidecar.metric(r'meshproxy_snapshot_loads_total\{outcome="taken"\}')


def _refused(sidecar: Sidecar) -> float:
    return sidecar.metric(r'meshproxy_snapshot_loads_total\{outcome="refused"\}')


@pytest.mark.parametrize("way", ["file", "SIGHUP"])
def test_a_snapshot_is_replaced_under_load_without_a_failed_request(
    way: str, sidecar: Sidecar, place: Path, servers: tuple[Server, Server]
) -> None:
    write(place / "snapshot.json", service("echo", [servers[0]]))
    sidecar.signal(signal.SIGHUP)
    sidecar.until(lambda: _call(sidecar) == b"old")
    with calling(sidecar.addresses["outbound"]) as load:
        sidecar.until(lambda: load.total > 50)
        taken = _taken(sidecar)
        write(place / "snapshot.json", service("echo", [servers[1]], timeouts=wire.Timeouts(request_s=9)))
        if way == "SIGHUP":
            sidecar.signal(signal.SIGHUP)
        sidecar.until(lambda: load.outcomes[200, b"new"] > 50)
        assert _taken(sidecar) >= taken + 1
        outcomes = load.stop()
    assert set(outcomes) == {(200, b"old"), (200, b"new")}


def _call(sidecar: Sidecar) -> bytes:
    connection = http.client.HTTPConnection(*sidecar.addresses["outbound"], timeout=10)
    try:
        connection.request("GET", "/", headers={"host": "echo"})
        return connection.getresponse().read()
    finally:
        connection.close()


def _poisoned(servers: tuple[Server, Server]) -> dict[str, bytes]:
    def of(entries: list[Entry]) -> bytes:
        return dump(entries)

    good = service("echo", [servers[1]])
    bad_match = [wire.RouteMatch(rule=0, path=wire.PathMatch(type="RegularExpression", value="(["))]
    return {
        "no JSON": b"{",
        "cut short": of(good)[:-20],
        "another schema": of(good).replace(b'"schema":1', b'"schema":99'),
        "a missing link": of(good[:-1]),
        "a bad expression": of(service("echo", [servers[1]], matches=bad_match)),
        "empty": b"",
    }


@pytest.mark.parametrize(
    "poison", ["no JSON", "cut short", "another schema", "a missing link", "a bad expression", "empty"]
)
def test_a_poisoned_snapshot_is_refused_and_the_one_in_use_stays(
    poison: str, sidecar: Sidecar, place: Path, servers: tuple[Server, Server]
) -> None:
    write(place / "snapshot.json", service("echo", [servers[0]]))
    sidecar.signal(signal.SIGHUP)
    sidecar.until(lambda: _call(sidecar) == b"old")
    refused, lines = _refused(sidecar), len(sidecar.log)
    (place / "poison").write_bytes(_poisoned(servers)[poison])
    (place / "poison").rename(place / "snapshot.json")
    sidecar.signal(signal.SIGHUP)
    sidecar.until(lambda: _refused(sidecar) > refused)
    assert _call(sidecar) == b"old"
    sidecar.until(lambda: any("snapshot refused" in line for line in sidecar.log[lines:]))


def test_a_request_finishes_on_what_it_started_with(tmp_path: Path) -> None:
    """Its endpoint, Service and all are gone from the configuration while it is under way."""
    go, asked = threading.Event(), threading.Event()

    class Slow(Server):
        def _serve(self, sock):
            with sock:
                sock.recv(65_536)
                sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst")
                asked.set()
                go.wait(10)
                sock.sendall(b"later")

    slow = Slow(b"")
    with started(tmp_path, service("echo", [slow])) as sidecar:
        connection = http.client.HTTPConnection(*sidecar.addresses["outbound"], timeout=10)
        connection.request("GET", "/", headers={"host": "echo"})
        asked.wait(10)
        response = connection.getresponse()
        write(tmp_path / "snapshot.json", [])
        sidecar.signal(signal.SIGHUP)
        sidecar.until(lambda: _taken(sidecar) == 2)
        go.set()
        assert response.read() == b"firstlater"
        connection.request("GET", "/", headers={"host": "echo"})
        assert connection.getresponse().status == 404
        connection.close()
    slow.stop()
