"""Applications as processes, at addresses that a cluster takes for endpoints: it takes none of 127.0.0.0/8."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.mesh import WAIT_S

ROOT = Path(__file__).parents[2]
MODULE = "tests.fakes.kubernetes.application"
GRACE_S = 1.0
"""An application that was told to end goes on for so long, so that everybody can hear of it."""


class Application:
    """Answers every request with its name; by `end` it is told to end in order, `stop` waits for its end."""

    def __init__(self, name: str, host: str, port: int = 0, grace_s: float = GRACE_S) -> None:
        self.name = name
        self.host = host
        words = [sys.executable, "-S", "-E", "-m", MODULE, host, str(port), name, str(grace_s)]
        self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    def end(self) -> None:
        self.process.terminate()

    def stop(self) -> None:
        self.end()
        self.process.wait(WAIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


def machine_address() -> str:
    """This machine's own address; without one the test is skipped."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("203.0.113.1", 9))  # sends nothing: the kernel only chooses the source address
        except OSError as error:
            pytest.skip(f"this machine has no address but loopback's: {error}")
        return str(sock.getsockname()[0])
