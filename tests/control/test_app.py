"""The control plane as a process: how it starts, what it says of itself, how it ends."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from control.app import check
from control.cluster import Cluster
from control.index.index import Index
from control.kube.reflector import Reflector
from control.model.kinds import HTTP_ROUTE
from control.settings import Cluster as Kubernetes
from control.settings import Settings
from control.store.database import MIGRATIONS, Database
from meshproxy.kit.aio.tasks import Tasks
from tests.control.build import http_route, rule, service
from tests.fakes.control import WAIT_S, control_plane
from tests.fakes.loop import on_uvloop

SERVICES = "/api/v1/namespaces/shop/services"
ROUTES = f"/apis/{HTTP_ROUTE.api_version}/namespaces/shop/httproutes"
UPGRADE = (
    b"GET /mesh/v1alpha1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


def ended(directory, *flags, **options):
    """Run one that is expected to end by itself; returns its exit status and what it said."""
    places = [] if "--api" in flags else ["--api", "127.0.0.1:0"]
    places += [word for name in ("--push", "--metrics") if name not in flags for word in (name, "127.0.0.1:0")]
    process = subprocess.run(
        [sys.executable, "-m", "control.main", "run", "--data-dir", str(directory), *places, *flags],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        **options,
    )
    return process.returncode, process.stdout + process.stderr


def place_of(control, name):
    host, port = control.addresses[name]
    return f"{host}:{port}"


def ask(control, method, path, document=None, name="api"):
    connection = http.client.HTTPConnection(place_of(control, name), timeout=10)
    headers = {"authorization": f"Bearer {control.token_file.read_text().strip()}", "content-type": "application/json"}
    try:
        connection.request(method, path, json.dumps(document) if document else None, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def opened(stack, control, name, data):
    """A connection that has sent something."""
    found = stack.enter_context(socket.create_connection(control.addresses[name], timeout=10))
    found.sendall(data)
    return found


def with_token(control, head):
    token = control.token_file.read_text().strip()
    return f"{head} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n".encode()


def families(control):
    text = ask(control, "GET", "/metrics", name="metrics")[1]
    return {family.name: family for family in text_string_to_metric_families(text)}


def sample(found, name, **labels):
    [value] = [item.value for item in found.samples if item.name == name and labels.items() <= item.labels.items()]
    return value


def until(condition):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def writes(control, name, acknowledged):
    """Create Services one after the other, until there is no answer any more."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        for i in range(100_000):
            status, text = ask(control, "POST", SERVICES, service(f"{name}-{i}"))
            assert status == 201, text
            acknowledged.append(f"{name}-{i}")


def test_it_ends_soon_and_in_order_while_watches_and_streams_are_open_and_writes_go_on(tmp_path):
    acknowledged = []
    with control_plane(tmp_path) as control, contextlib.ExitStack() as stack:
        watch = opened(stack, control, "api", with_token(control, "GET /api/v1/services?watch=1") + b"\r\n")
        half = b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        for _ in range(3):
            # Some that never answer, never read, never finish.
            opened(stack, control, "push", UPGRADE).recv(1)
            opened(stack, control, "api", with_token(control, f"POST {SERVICES}") + half)
            opened(stack, control, "api", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").recv(1)
            opened(stack, control, "metrics", b"GET /metrics HTTP")
        threads = [threading.Thread(target=writes, args=(control, f"t{i}", acknowledged)) for i in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(acknowledged) > 20)
        assert control.stop(signal.SIGTERM) == 0
        for thread in threads:
            thread.join()
        with contextlib.suppress(ConnectionError):
            while watch.recv(65536):
                pass
    assert control.log[-1].endswith("ended\n")
    assert not any("Traceback" in line or " error " in line for line in control.log), control.log
    with control_plane(tmp_path) as control:
        kept = {item["metadata"]["name"] for item in json.loads(ask(control, "GET", SERVICES)[1])["items"]}
        assert kept >= set(acknowledged)


@pytest.mark.parametrize("flag", ["api", "push", "metrics"])
def test_an_address_in_use_is_one_sentence_that_names_the_flag(tmp_path, flag):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        status, text = ended(tmp_path, f"--{flag}", place, "--log-level", "error")
    assert status == 1
    assert text.count("\n") == 1
    assert text.endswith(f"error control.app: cannot start: --{flag} {place}: Address already in use\n")


def test_a_second_one_in_a_directory_names_the_first_and_leaves_it_alone(tmp_path):
    with control_plane(tmp_path) as control:
        status, text = ended(tmp_path)
        assert status == 1
        assert text.count("\n") == 1
        assert f"in use by process {control.process.pid}" in text
        assert ask(control, "GET", "/healthz", name="metrics") == (200, "ok\n")


def test_a_directory_that_may_not_be_used_is_one_sentence(tmp_path):
    if os.getuid() == 0:
        place = Path("/proc/meshcontrol")
    else:
        place = tmp_path / "closed"
        place.mkdir(mode=0o500)
    status, text = ended(place)
    assert status == 1
    assert text.count("\n") == 1
    assert f"cannot start: {place}" in text


def checked(directory, capsys):
    """What `--check-config` says; nothing if all is well."""
    nowhere = ("127.0.0.1", 0)
    status = check(Settings(directory, directory / "token", nowhere, nowhere, nowhere))
    said = capsys.readouterr()
    assert (status, said.out) == ((1, "") if said.err else (0, "the configuration is good\n"))
    return said.err


def test_checking_changes_nothing_and_can_be_done_beside_one_that_runs(tmp_path, capsys):
    place = tmp_path / "mesh"
    assert ended(place, "--check-config") == (0, "the configuration is good\n")
    assert list(tmp_path.iterdir()) == []
    with control_plane(place) as control:
        assert checked(place, capsys) == ""
        control.stop()
    before = {path: path.read_bytes() for path in place.iterdir()}
    assert checked(place, capsys) == ""
    assert {path: path.read_bytes() for path in place.iterdir()} == before


def test_checking_finds_what_would_keep_it_from_starting(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert "file: Not a directory" in checked(tmp_path / "file" / "mesh", capsys)
    place = tmp_path / "mesh"
    place.mkdir()
    (place / "token").write_text("a-token-that-many-can-read\n")
    (place / "token").chmod(0o644)
    assert "others have rights to it" in checked(place, capsys)
    (place / "token").chmod(0o600)
    with contextlib.closing(Database(place)) as database:
        database._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    assert "of a newer program" in checked(place, capsys)


def test_what_it_measures_can_be_read_and_is_what_has_happened(tmp_path):
    with control_plane(tmp_path) as control:
        assert ask(control, "GET", "/healthz") == ask(control, "GET", "/healthz", name="metrics") == (200, "ok\n")
        for path, document in ((SERVICES, service("echo")), (ROUTES, http_route("echo", rule("echo")))):
            assert ask(control, "POST", path, document)[0] == 201
        until(lambda: '"Accepted"' in ask(control, "GET", f"{ROUTES}/echo")[1])
        # The route, which came closely after its Service, waits for a moment.
        rounds = ("meshcontrol_compile_duration_seconds", "meshcontrol_compile_duration_seconds_count")
        until(lambda: sample(families(control)[rounds[0]], rounds[1]) >= 2)
        with contextlib.ExitStack() as stack:
            opened(stack, control, "push", UPGRADE).recv(1)
            opened(stack, control, "api", with_token(control, "GET /api/v1/pods?watch=1") + b"\r\n").recv(1)
            found = families(control)
            values = {name: family.samples[0].value for name, family in found.items() if len(family.samples) == 1}
        assert values["meshcontrol_streams"] == values["meshcontrol_api_watches"] == 1
        assert values["meshcontrol_nacks"] == values["meshcontrol_api_watch_overflows"] == 0
        assert values["meshcontrol_oldest_unacknowledged_seconds"] == 0
        assert values["meshcontrol_objects_refused"] == values["meshcontrol_resources_failed"] == 0
        # Service, route, and the route's status.
        assert values["meshcontrol_store_version"] == values["meshcontrol_index_version"] == 3
        assert values["meshcontrol_resources"] == 4
        assert sample(found["meshcontrol_objects"], "meshcontrol_objects", kind="HTTPRoute") == 1
        assert sample(found["meshcontrol_streams_closed"], "meshcontrol_streams_closed_total", reason="overflow") == 0
        assert found["meshcontrol_compile_duration_seconds"].type == "histogram"
        assert found["meshcontrol_push_latency_seconds"].type == "histogram"
        assert values["meshcontrol_process_resident_memory_bytes"] > 0


def test_it_may_have_more_files_open_than_the_usual_limit_says(tmp_path):
    usual = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4000));"
    report = "import control.app as it; it.App.run = lambda self: ran(); from control.main import main; main()"
    ran = "async def ran(): print(resource.getrlimit(resource.RLIMIT_NOFILE)); return 0"
    text = subprocess.run(
        [sys.executable, "-c", f"{usual}\n{ran}\n{report}", "run", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert text == "(4000, 4000)\n"


def test_what_is_no_http_is_refused_without_a_line_in_the_log_least_of_all_with_the_token(tmp_path):
    with control_plane(tmp_path) as control:
        token = control.token_file.read_text().strip()
        garbage = [
            b"\x16\x03\x01\x02\x00\r\n\r\n",
            b"GET /api HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
            f"GET /api HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\x01\r\n\r\n".encode(),
            f"GET /api HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization : Bearer {token}\r\n\r\n".encode(),
            f"GET /api HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}{'a' * 9000}\r\n\r\n".encode(),
        ]
        lines = len(control.log)
        for name in ("api", "push", "metrics"):
            for data in garbage:
                with contextlib.ExitStack() as stack:
                    assert b" 400 " in opened(stack, control, name, data).recv(65536)
        assert ask(control, "GET", "/healthz")[0] == 200
        assert control.stop() == 0
        assert [line.split(": ", 1)[1] for line in control.log[lines:]] == ["ending\n", "ended\n"]


def test_a_store_that_can_be_written_no_more_ends_it_with_the_reason(tmp_path):
    program = """
import sys
from control.store import writer
real = writer._transact
def broken(database, version, mutations):
    if any(mutation.key.name == "fatal" for mutation in mutations):
        raise MemoryError("in a test")
    return real(database, version, mutations)
writer._transact = broken
from control.main import main
main()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, "run", "--data-dir", str(tmp_path), "--log-format", "json"]
        + [word for name in ("--api", "--push", "--metrics") for word in (name, "127.0.0.1:0")],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines = []
        for line in process.stderr:
            lines.append(json.loads(line))
            if "ready:" in line:
                break
        port = int(lines[0]["message"].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
        connection.request(
            "POST", SERVICES, json.dumps(service("fatal")), {**headers, "content-type": "application/json"}
        )
        assert connection.getresponse().status == 503
        connection.close()
        lines += [json.loads(line) for line in process.stderr]
    assert process.returncode == 1
    [error] = [line for line in lines if line["level"] == "error"]
    assert "the store has failed" in error["message"]
    assert "MemoryError('in a test')" in error["message"]


@on_uvloop
async def test_a_cluster_that_a_defect_ends_the_reading_of_ends_it_with_the_reason(tmp_path, monkeypatch, caplog):
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], users: [{name: u, user: {}}],"
        " clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]}"
    )
    source = await Cluster.open(Kubernetes(kubeconfig), Index(), CollectorRegistry())

    async def broken(_):
        raise RuntimeError("in a test")

    monkeypatch.setattr(Reflector, "run", broken)
    tasks = Tasks(asyncio.get_running_loop())
    feed = object()
    tasks.start(source.follow(feed, tasks))
    assert await asyncio.wait_for(source.ended(), 10) == "the cluster is not read any more: a defect, told above"
    assert "in a test" in caplog.text
    await tasks.close()
    await source.close()
