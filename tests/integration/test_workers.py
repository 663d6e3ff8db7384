"""A sidecar of several worker processes, as its operator sees it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.fakes.load import Address, calling, server
from tests.fakes.origin import ok
from tests.fakes.pki import HOUR_S, make_ca, make_identity
from tests.fakes.process import Sidecar, started, write
from tests.fakes.snapshots import service

WORKERS = ("--workers", "2", "--drain-s", "1")
REQUESTS = "meshproxy_requests_total"
EXPIRY = "meshproxy_certificate_expiry_timestamp_seconds"


def pids(sidecar: Sidecar) -> dict[str, int]:
    """The pids of the workers that have accepted last, by their numbers."""
    found = (re.search(r"worker (\d) \(pid (\d+)\) accepts", line) for line in list(sidecar.log))
    return {match[1]: int(match[2]) for match in found if match}


def until_all_accept(sidecar: Sidecar) -> dict[str, int]:
    sidecar.until(lambda: len(pids(sidecar)) == 2)
    return pids(sidecar)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def get(address: Address, target: str = "/") -> int:
    connection = http.client.HTTPConnection(*address, timeout=20)
    connection.request("GET", target, headers={"host": "echo"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_one_admin_address_adds_up_what_all_workers_count(tmp_path: Path) -> None:
    flags = (*WORKERS, "--health", "127.0.0.1:0", "--access-log", "json")
    with server(ok(b"one")) as origin, started(tmp_path, service("echo", [origin]), *flags) as sidecar:
        until_all_accept(sidecar)
        for _ in range(100):
            assert get(sidecar.addresses["outbound"]) == 200
        sidecar.until(lambda: sidecar.metric(REQUESTS) == 100)
        for worker in ("1", "2"):
            assert sidecar.metric(rf'process_resident_memory_bytes\{{worker="{worker}"}}') > 1_000_000
        assert sidecar.metric("process_resident_memory_bytes ") > 1_000_000
        (row,) = json.loads(sidecar.admin("/endpoints")[1])["endpoints"]
        assert row["address"] == f"{origin.host}:{origin.port}"
        assert len(json.loads(sidecar.admin("/config")[1])["resources"]) == 4
        assert sidecar.admin("/healthz/ready") == (200, "ready\n")
        sidecar.until(lambda: len(sidecar.access) == 100)
        sidecar.signal(signal.SIGTERM)
        assert sidecar.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_drains_every_worker_and_fails_no_request(number: signal.Signals, tmp_path: Path) -> None:
    flags = ("--workers", "2", "--drain-s", "4")
    with server(ok(b"one")) as origin, started(tmp_path, service("echo", [origin]), *flags) as sidecar:
        workers = until_all_accept(sidecar)
        with calling(sidecar.addresses["outbound"], callers=8) as load:
            sidecar.until(lambda: load.total > 200)
            sidecar.signal(number)
            sidecar.until(lambda: sidecar.has_logged("draining"))
            seen = load.total
            sidecar.until(lambda: load.total > seen + 200)  # each on a connection of its own
        assert sidecar.wait() == 0
        assert set(load.outcomes) == {(200, b"one")}
        assert not any(is_alive(pid) for pid in workers.values())
        assert not sidecar.has_logged("cut short")


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    with server(ok(b"one")) as origin, started(tmp_path, service("echo", [origin]), *WORKERS) as sidecar:
        workers = until_all_accept(sidecar)
        sidecar.signal(signal.SIGKILL)
        sidecar.process.wait(10)
        assert get(sidecar.addresses["outbound"]) == 200  # in order, as in any drain
        sidecar.until(lambda: not any(is_alive(pid) for pid in workers.values()))


def test_a_changed_snapshot_and_a_killed_worker_fail_no_new_connection(tmp_path: Path) -> None:
    with (
        server(ok(b"one")) as one,
        server(ok(b"two")) as two,
        started(tmp_path, service("echo", [one]), *WORKERS) as run,
    ):
        workers = until_all_accept(run)
        write(tmp_path / "snapshot.json", service("echo", [two]))
        run.signal(signal.SIGHUP)
        run.until(lambda: two_answers(run))
        os.kill(workers["1"], signal.SIGKILL)
        run.until(lambda: not is_alive(workers["1"]))
        for _ in range(50):
            assert get(run.addresses["outbound"]) == 200
        run.until(lambda: run.metric("meshproxy_worker_restarts_total") == 1)
        run.until(lambda: pids(run)["1"] != workers["1"])
        assert pids(run)["2"] == workers["2"]
        assert all(two_answers(run) for _ in range(20))


def two_answers(sidecar: Sidecar) -> bool:
    connection = http.client.HTTPConnection(*sidecar.addresses["outbound"], timeout=20)
    connection.request("GET", "/", headers={"host": "echo"})
    body = connection.getresponse().read()
    connection.close()
    return body == b"two"


def test_an_identity_is_replaced_in_every_worker(tmp_path: Path) -> None:
    ca = make_ca()
    spiffe_id = "spiffe://cluster.local/ns/default/sa/client"
    identity = make_identity(tmp_path / "identity", spiffe_id, ca)
    with started(tmp_path, [], *WORKERS, "--identity-dir", str(identity)) as sidecar:
        until_all_accept(sidecar)
        sidecar.until(lambda: sidecar.metric(EXPIRY))
        before = sidecar.metric(EXPIRY)
        make_identity(identity, spiffe_id, ca, after_s=48 * HOUR_S)
        # What is shown is the earliest of all.
        sidecar.until(lambda: sidecar.metric(EXPIRY) > before + 20 * HOUR_S)
        for worker in ("1", "2"):
            sidecar.until(lambda worker=worker: sidecar.has_logged(f"worker {worker}: identity taken"))


def test_the_log_level_is_changed_in_every_worker(tmp_path: Path) -> None:
    with started(tmp_path, [], *WORKERS) as sidecar:
        until_all_accept(sidecar)
        assert sidecar.admin("/log-level?level=debug", "POST")[0] == 200

        def both_tell() -> bool:
            connection = http.client.HTTPConnection(*sidecar.addresses["outbound"], timeout=20)
            connection.request("BAD METHOD", "/")
            connection.getresponse().read()
            connection.close()
            return all(sidecar.has_logged(f"worker {worker}: outbound: refused") for worker in ("1", "2"))

        sidecar.until(both_tell)


def test_a_port_that_is_taken_is_told_at_the_start(tmp_path: Path) -> None:
    with server(ok(b"one")) as taken:
        place = f"127.0.0.1:{taken.port}"
        with started(tmp_path, [], *WORKERS, "--outbound", place) as sidecar:
            assert sidecar.wait() == 1
            assert sidecar.has_logged(f"cannot start: {place}: Address already in use")


def test_a_second_sidecar_does_not_join_the_first_ones_port(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with started(tmp_path / "one", [], *WORKERS) as first:
        until_all_accept(first)
        place = "127.0.0.1:{}".format(first.addresses["outbound"][1])
        with started(tmp_path / "two", [], *WORKERS, "--outbound", place) as second:
            assert second.wait() == 1
            assert second.has_logged(f"cannot start: {place}: Address already in use")
