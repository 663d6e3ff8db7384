"""The real sidecar as a process of its own, on ports of the system's choice."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from meshproxy.wire.snapshot import Entry, dump

_LISTENING = re.compile(r"(outbound|inbound|admin|health): listening on ([0-9.]+):([0-9]+)")
WAIT_S = 20.0

Address = tuple[str, int]


class Sidecar:
    """A running `meshproxy run`. `log` are its lines on standard error so far."""

    def __init__(self, directory: Path, flags: Iterable[str], limit: Callable[[], None] | None) -> None:
        self.log: list[str] = []
        self.addresses: dict[str, Address] = {}
        self._access = directory / "access.log"
        with self._access.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "meshproxy.cli", "run", *flags],
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=limit,  # noqa: PLW1509 - the test's own threads hold no lock that it takes
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := _LISTENING.search(line):
                self.addresses[found[1]] = (found[2], int(found[3]))
            self.log.append(line)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds; a sidecar that has ended meanwhile fails the test with its log."""
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, "".join(self.log)
            time.sleep(0.01)

    def has_logged(self, text: str) -> bool:
        return any(text in line for line in self.log)

    @property
    def access(self) -> list[dict]:
        """The access log so far."""
        return [json.loads(line) for line in self._access.read_text().splitlines()]

    @property
    def peak_bytes(self) -> int:
        """The most resident memory it has had so far."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmHWM:")[2].split()[0]) * 1024

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def admin(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection(*self.addresses["admin"], timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metric(self, pattern: str) -> float:
        """The sum of the samples whose name and labels a pattern matches."""
        text = self.admin("/metrics")[1]
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(pattern, line))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; returns the exit status."""
        status = self.process.wait(WAIT_S)
        self._reader.join()
        return status

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


def write(path: Path, entries: Iterable[Entry]) -> None:
    """Replace a snapshot file atomically."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(dump(entries))
    fresh.rename(path)


@contextlib.contextmanager
def started(
    directory: Path, entries: Iterable[Entry], *flags: str, limit: Callable[[], None] | None = None
) -> Iterator[Sidecar]:
    """An outbound sidecar unless the flags say otherwise; `directory` gets its snapshot.json."""
    write(directory / "snapshot.json", entries)
    place = [] if "--inbound" in flags else ["--outbound", "127.0.0.1:0"]
    common = ["--snapshot", str(directory / "snapshot.json"), "--namespace", "default", "--service-account", "client"]
    sidecar = Sidecar(directory, [*common, "--workload", "client-1", "--admin", "127.0.0.1:0", *place, *flags], limit)
    try:
        sidecar.until(lambda: sidecar.has_logged("ready:") or sidecar.process.poll() is not None)
        yield sidecar
    finally:
        sidecar.stop()
