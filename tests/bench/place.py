"""Where a measurement takes place: a temporary directory, two cores, free ports, the upstream."""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.bench.process import Process, StartError

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
HOST = "echo"
READY_S = 20.0
POLL_S = 0.02


@dataclass(frozen=True)
class Cores:
    """The core of the proxies, and the one that load generator and upstream share."""

    load: int
    proxy: int


def choose_cores() -> Cores:
    """The first and the second core this process may use; one and the same where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(load=allowed[0], proxy=allowed[min(1, len(allowed) - 1)])


def core_busy_s(core: int) -> float:
    """Seconds that a core has worked since the machine started, for whomever."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, ticks)
            return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    raise LookupError(f"/proc/stat has no cpu{core}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_config(source: str, target: Path, **values: object) -> Path:
    """Write the file `source` of peers/ to `target`, with every `@NAME@` replaced."""
    text = (PEERS / source).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    target.write_text(text)
    return target


@dataclass
class Place:
    """Everything started here ends with `close`, the last first."""

    directory: Path
    cores: Cores
    tools: dict[str, str]
    """Where each program was found, by its name; what is absent is not in it."""
    before: Path | None = None
    """Another checkout, whose sidecar is the subject `before`."""
    upstream: int = 0
    processes: list[Process] = field(default_factory=list)

    def start(
        self, name: str, command: list[str], *, on_load_core: bool = False, env: dict[str, str] | None = None
    ) -> Process:
        core = self.cores.load if on_load_core else self.cores.proxy
        process = Process(name, command, core, self.directory, env)
        self.processes.append(process)
        return process

    def start_upstream(self) -> None:
        """nginx with its small body on a free port."""
        port = free_port()
        config = write_config("upstream-nginx.conf", self.directory / "upstream.conf", LISTEN=port)
        process = self.start("upstream", nginx_command(self, config), on_load_core=True)
        wait_ready(port, [process])
        self.upstream = port

    def stop(self, processes: list[Process]) -> None:
        for process in reversed(processes):
            process.stop()
            self.processes.remove(process)

    def close(self) -> None:
        self.stop(list(self.processes))


def start_origin(place: Place) -> int:
    """The upstream for bodies (tests.bench.origin); its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.origin", str(port)]
    process = place.start("origin", command, on_load_core=True, env={"PYTHONPATH": str(ROOT)})
    wait_ready(port, [process])
    return port


def nginx_command(place: Place, config: Path) -> list[str]:
    # Its own error log and prefix: the compiled-in ones belong to the system's nginx.
    return [place.tools["nginx"], "-e", "stderr", "-p", str(place.directory), "-c", str(config)]


def wait_ready(port: int, processes: list[Process], path: str = "/") -> None:
    """Return when GET on the port is answered 200; StartError when a process ends or READY_S have passed."""
    deadline = time.monotonic() + READY_S
    last = ""
    while time.monotonic() < deadline:
        for process in processes:
            process.check()
        try:
            last = _get(port, path)
        except (OSError, HTTPException) as error:
            last = repr(error)
        if last == "200":
            return
        time.sleep(POLL_S)
    logs = "\n".join(f"{process.name}: {process.log_tail()}" for process in processes)
    raise StartError(f"not ready within {READY_S:.0f} s, last answer: {last}\n{logs}")


def _get(port: int, path: str) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": HOST})
        response = connection.getresponse()
        body = response.read()
        return str(response.status) if response.status == 200 else f"{response.status} {body[:200]!r}"
    finally:
        connection.close()
