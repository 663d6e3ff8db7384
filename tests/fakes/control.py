"""The real control plane as a process of its own, on ports of the system's choice."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

_LISTENING = re.compile(r"(api|push|metrics): listening on ([0-9.]+):([0-9]+)")
WAIT_S = 20.0

Address = tuple[str, int]


class Control:
    """A running `meshcontrol run`. `log` are its lines on standard error so far.

    Its objects are in `directory`; with the flag `--kubernetes` only its token is there. `hurry` are constants of the
    program, by module and name, that are too long for a test (see tests/fakes/hurried.py).
    """

    def __init__(self, directory: Path, *flags: str, hurry: Mapping[str, float] = {}) -> None:
        self.directory = directory
        self.log: list[str] = []
        self.addresses: dict[str, Address] = {}
        place = ["--token-file", str(self.token_file)] if "--kubernetes" in flags else ["--data-dir", str(directory)]
        program = ["tests.fakes.hurried", *(f"{name}={value}" for name, value in hurry.items())]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *(program if hurry else ["control.main"]), "run", *place, *flags],
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if found := _LISTENING.search(line):
                self.addresses[found[1]] = (found[2], int(found[3]))

    def url(self, name: str = "api") -> str:
        host, port = self.addresses[name]
        return f"http://{host}:{port}"

    @property
    def token_file(self) -> Path:
        return self.directory / "token"

    def wait_ready(self) -> None:
        """A control plane that has ended meanwhile fails the test with its log."""
        self.wait_for("ready:")

    def wait_for(self, text: str) -> None:
        """Wait until it has logged something."""
        end = time.monotonic() + WAIT_S
        while not any(text in line for line in self.log):
            assert self.process.poll() is None, "".join(self.log)
            assert time.monotonic() < end, "".join(self.log)
            time.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(WAIT_S)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status


@contextlib.contextmanager
def control_plane(
    directory: Path, *flags: str, api: str = "127.0.0.1:0", push: str = "127.0.0.1:0"
) -> Iterator[Control]:
    """A control plane that is ready."""
    control = Control(directory, "--api", api, "--push", push, "--metrics", "127.0.0.1:0", *flags)
    try:
        control.wait_ready()
        yield control
    finally:
        control.stop(signal.SIGKILL)
