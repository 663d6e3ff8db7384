"""The control plane as a subject, and the processes that load it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import msgspec

from tests.bench import catalog
from tests.bench.child import Child
from tests.bench.followers import Order, Outcome, Setup
from tests.bench.place import POLL_S, READY_S, Place, free_port, wait_ready
from tests.bench.process import StartError
from tests.bench.subjects import Subject

QUIET_S = 0.5
"""A control plane that has written nothing for so long has settled."""
START_S = 60.0
"""A control plane that reads a cluster may be busy for so long before it answers."""
SYNC_S = 60.0
"""So long may it take until all streams have what they follow."""


@dataclass(frozen=True)
class Plane(Subject):
    """A control plane; `port` is its API's."""

    push: int
    metrics: int
    directory: Path

    @property
    def token_file(self) -> Path:
        return self.directory / "token"

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    def figure(self, family: str) -> float:
        """Read a metric without labels."""
        return figure(self.metrics, family)

    def ready_at(self) -> float:
        """When /readyz was answered 200, now; OSError if it is not."""
        with urlopen(f"http://127.0.0.1:{self.metrics}/readyz", timeout=START_S):
            return time.monotonic()

    def put(self, document: catalog.Object) -> None:
        """Put an object in the place of the one there; raises if that is refused."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.port}{catalog.path_of(document)}"
        request = Request(url, json.dumps(document).encode(), headers, method="PUT")
        with urlopen(request, timeout=5) as response:
            response.read()


def figure(port: int, family: str) -> float:
    """The sum of a metric's samples, as the /metrics of a port has them."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        lines = response.read().decode().splitlines()
    found = [float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == family]
    if not found:
        raise LookupError(f"/metrics has no {family}")
    return sum(found)


def launch(place: Place, directory: Path, *, kubeconfig: Path | None = None, on_load_core: bool = False) -> Plane:
    """Start a control plane, of its data directory's objects or of a cluster's; it need not be ready yet."""
    api, push, metrics = free_port(), free_port(), free_port()
    command = [place.tools["meshcontrol"], "run"]
    if kubeconfig is None:
        command += ["--data-dir", str(directory)]
    else:
        command += ["--kubernetes", "--kubeconfig", str(kubeconfig), "--token-file", str(directory / "token")]
    for flag, port in (("--api", api), ("--push", push), ("--metrics", metrics)):
        command += [flag, f"127.0.0.1:{port}"]
    process = place.start(f"meshcontrol-{api}", command, on_load_core=on_load_core)
    return Plane("meshcontrol", api, [process], push, metrics, directory)


def plane(place: Place, objects: Iterable[catalog.Object], *, on_load_core: bool = False) -> Plane:
    """A control plane that keeps these objects, is ready, and has written the status of every route."""
    directory = Path(tempfile.mkdtemp(prefix="data-", dir=place.directory))
    catalog.seed(directory, objects)
    started = launch(place, directory, on_load_core=on_load_core)
    wait_ready(started.metrics, started.processes, "/healthz")
    settle(started)
    return started


def settle(started: Plane) -> None:
    """Return when it has written nothing for a while."""
    version, since = -1.0, time.monotonic()
    deadline = since + READY_S
    while time.monotonic() < since + QUIET_S:
        latest = started.figure("meshcontrol_store_version")
        if latest != version:
            version, since = latest, time.monotonic()
        if since > deadline:
            raise StartError(f"the control plane still writes after {READY_S:.0f} s")
        time.sleep(POLL_S)


class Fleet:
    """The process of tests.bench.followers."""

    def __init__(self, child: Child, setup: Setup) -> None:
        self._child = child
        child.ask(setup)

    def change(self, order: Order) -> Outcome:
        return msgspec.json.decode(self._child.ask(order), type=Outcome)


@contextmanager
def followers(place: Place, followed: Plane, setup: Setup) -> Iterator[Fleet]:
    """Streams, as long as the block lasts, that have taken all that they follow."""
    with Child(place, "tests.bench.followers") as child:
        made = Fleet(child, setup)
        await_streams(followed, len(catalog.names_of(0)) * setup.follow * setup.streams)
        yield made


def await_streams(followed: Plane, names: int) -> None:
    """Return when so many names are followed, and nothing is on its way."""
    deadline = time.monotonic() + SYNC_S
    while followed.figure("meshcontrol_subscriptions") < names or followed.figure(
        "meshcontrol_oldest_unacknowledged_seconds"
    ):
        followed.processes[0].check()
        if time.monotonic() > deadline:
            raise StartError(f"not all streams are served within {SYNC_S:.0f} s")
        time.sleep(POLL_S)
