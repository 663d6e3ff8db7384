"""A mesh of real processes: control planes at places of their own, sidecars that follow them, applications, meshctl.

Whatever a test does with it is waited for by `until`, which fails with the log of every process. All of them end with
the mesh, by their pids.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from control.model.kinds import find
from tests.control.build import endpoint_slice
from tests.fakes.control import Control
from tests.fakes.load import Address, Server
from tests.fakes.process import Sidecar

WAIT_S = 20.0
PLACES = 8
"""Ports of a control plane: more than it needs."""

_numbers = itertools.count()
_APPLICATION = Path(__file__).with_name("application.py")


def own_host() -> str:
    """A loopback address that no other test process uses, and no client gets for its own end of a connection.

    So a port there stays free while a control plane is away, whatever else runs.
    """
    pid = os.getpid()
    return f"127.{64 + (pid >> 16) % 64}.{pid >> 8 & 255}.{pid & 255}"


def path_of(document: dict[str, Any], **query: str) -> str:
    """The object's place in the API."""
    kind = find(document["kind"])
    assert kind is not None
    metadata = document["metadata"]
    base = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
    path = f"{base}/namespaces/{metadata['namespace']}/{kind.plural}/{metadata['name']}"
    return f"{path}?{urlencode(query)}" if query else path


class Application:
    """A process that answers with its name; `stop` lets it end in order."""

    def __init__(self, name: str, host: str = "") -> None:
        self.name = name
        self.host = host or own_host()
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(_APPLICATION), self.host, name], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        assert self.process.stdout is not None
        self.process.terminate()
        self.process.wait(WAIT_S)
        self.process.stdout.close()


class ControlPlane:
    """`meshcontrol run` at a fixed place, as often as it is started.

    Its objects are in `directory`, unless `flags` say that it reads a cluster. `hurry`: as `Control` takes it.
    """

    def __init__(self, directory: Path, *flags: str, hurry: Mapping[str, float] = {}) -> None:
        self.directory = directory
        self.flags = flags
        self.hurry = hurry
        number = 15_010 + next(_numbers) * PLACES
        host = own_host()
        self._places = {word: f"{host}:{number + i}" for i, word in enumerate(("api", "push", "metrics"))}
        self._lives: list[Control] = []

    @property
    def log(self) -> list[str]:
        return [line for life in self._lives for line in life.log]

    @property
    def url(self) -> str:
        """What sidecars take for `--control`."""
        return f"ws://{self._places['push']}"

    @property
    def api(self) -> str:
        """What meshctl takes for `--api`."""
        return f"http://{self._places['api']}"

    @property
    def pid(self) -> int:
        return self._lives[-1].process.pid

    @property
    def token(self) -> str:
        return (self.directory / "token").read_text().strip()

    def start(self, *, waits: bool = True) -> None:
        """Run it until it is ready; without `waits` only until all its addresses answer."""
        flags = [word for name, place in self._places.items() for word in (f"--{name}", place)]
        life = Control(self.directory, *flags, *self.flags, hurry=self.hurry)
        self._lives.append(life)
        life.wait_for("ready:" if waits else "metrics: listening")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, if it runs."""
        if self._lives:
            self._lives[-1].stop(number)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    # Its API

    def request(self, method: str, path: str, document: Any = None, media: str = "application/json") -> Any:
        """What it answers; anything but success fails the test."""
        return json.loads(self._send(method, path, document, media))

    def watch(self, path: str) -> list[dict[str, Any]]:
        """The events of a watch that the control plane ends."""
        return [json.loads(line) for line in self._send("GET", path).splitlines()]

    def _send(self, method: str, path: str, document: Any = None, media: str = "application/json") -> bytes:
        connection = http.client.HTTPConnection(self._places["api"], timeout=10)
        try:
            headers = {"authorization": f"Bearer {self.token}", "content-type": media}
            connection.request(method, path, json.dumps(document) if document is not None else None, headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        assert response.status < 300, f"{method} {path}: {response.status} {body.decode()}"
        return body

    def apply(self, *documents: dict[str, Any]) -> None:
        """Apply them in turn; each is acknowledged, so on disk, before the next one is sent."""
        for document in documents:
            path = path_of(document, fieldManager="test", force="true")
            self.request("PATCH", path, document, "application/apply-patch+yaml")

    def delete(self, *documents: dict[str, Any]) -> None:
        for document in documents:
            self.request("DELETE", path_of(document))

    def proxies(self) -> dict[str, dict[str, Any]]:
        """The state of the connected sidecars, by name."""
        found = self.request("GET", "/apis/meshproxy.io/v1alpha1/proxies")
        return {item["metadata"]["name"]: item["status"] for item in found["items"]}

    def ask(self, name: str, path: str) -> tuple[int, str]:
        """What is answered to a GET at one of its addresses: status and body."""
        connection = http.client.HTTPConnection(self._places[name], timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metric(self, pattern: str) -> float:
        """The sum of the samples whose name and labels a pattern matches."""
        return total(self.ask("metrics", "/metrics")[1], pattern)

    def meshctl(self, *arguments: str, status: int = 0) -> str:
        """What the command prints."""
        return meshctl(self.api, self.token, *arguments, status=status)


def meshctl(api: str, token: str, *arguments: str, status: int = 0) -> str:
    """Run the operator's command line as a process; returns what it prints, and what it complains of."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MESHCTL_")}
    ended = subprocess.run(
        [sys.executable, "-m", "control.cli.app", *arguments],
        env={**clean, "MESHCTL_API": api, "MESHCTL_TOKEN": token, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert ended.returncode == status, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout + ended.stderr


class Mesh:
    """Everything that runs, and what waits for it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.planes: list[ControlPlane] = []
        self.sidecars: list[Sidecar] = []
        self._applications: list[Application] = []
        self._servers: list[Server] = []

    def control(self, *flags: str, hurry: Mapping[str, float] = {}, waits: bool = True) -> ControlPlane:
        """A control plane of its own store, or as the flags say; running."""
        plane = ControlPlane(self.directory / f"control-{len(self.planes)}", *flags, hurry=hurry)
        self.planes.append(plane)
        plane.start(waits=waits)
        return plane

    def sidecar(
        self,
        urls: str | Iterable[str],
        *flags: str,
        name: str = "client-1",
        namespace: str = "shop",
        account: str = "client",
        waits: bool = True,
    ) -> Sidecar:
        """An outbound sidecar; with `waits` as soon as it is ready, else as soon as admin answers."""
        directory = self.directory / f"sidecar-{len(self.sidecars)}"
        directory.mkdir()
        places = ["--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        who = ["--namespace", namespace, "--service-account", account, "--workload", name]
        control = [word for url in ([urls] if isinstance(urls, str) else urls) for word in ("--control", url)]
        sidecar = Sidecar(directory, [*control, *who, *places, *flags], None)
        self.sidecars.append(sidecar)
        self.until(lambda: sidecar.has_logged("ready:" if waits else "outbound: listening"))
        return sidecar

    def application(self, name: str, host: str = "") -> Application:
        """An application as a process, at an address of this test process's own unless `host` says which."""
        application = Application(name, host)
        self._applications.append(application)
        return application

    def server(self, server: Server) -> Server:
        """An application in the test's process."""
        self._servers.append(server)
        return server

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds; a process that has ended by itself fails the test."""
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            for sidecar in self.sidecars:
                assert sidecar.process.poll() in {None, 0, -signal.SIGKILL}, "a sidecar has ended"
            time.sleep(0.01)

    def logs(self) -> str:
        named = [(f"control plane {i}", plane.log) for i, plane in enumerate(self.planes)]
        named += [(f"sidecar {i}", sidecar.log) for i, sidecar in enumerate(self.sidecars)]
        return "\n".join(f"--- {name}\n{''.join(log)}" for name, log in named)

    def stop(self) -> None:
        for sidecar in self.sidecars:
            sidecar.stop()
        for plane in self.planes:
            plane.kill()
        for application in self._applications:
            application.stop()
        for server in self._servers:
            server.stop()


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Mesh]:
    """A mesh without anything in it. Nothing that ran in it may have met a defect."""
    mesh = Mesh(directory)
    try:
        yield mesh
    except BaseException:
        print(mesh.logs())
        raise
    finally:
        mesh.stop()
    assert "Traceback" not in mesh.logs(), mesh.logs()


def slice_of(service: str, place: Application | Server, name: str = "", **conditions: bool) -> dict[str, Any]:
    """An EndpointSlice with one endpoint."""
    item = {"addresses": [place.host], "conditions": {"ready": True, **conditions}}
    return endpoint_slice(service, item, ports=[{"port": place.port}], name=name)


def states(sidecar: Sidecar) -> dict[str, str]:
    """The state of each endpoint that a sidecar knows, by address."""
    rows = json.loads(sidecar.admin("/endpoints")[1])["endpoints"]
    return {row["address"]: row["state"] for row in rows}


def get(address: Address, host: str, target: str = "/", **headers: str) -> tuple[int, bytes]:
    """One request on a connection of its own: status and body."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request("GET", target, headers={"host": host, **headers})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def resident_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


def total(text: str, pattern: str) -> float:
    """The sum of the samples of an exposition that a pattern matches."""
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(pattern, line))


def find_kubectl() -> str:
    """The kubectl to use; empty if there is none."""
    given = os.environ.get("MESHPROXY_TEST_KUBECTL", "")
    return given if given and Path(given).is_file() else shutil.which("kubectl") or ""
