"""Processes behind the pods of a `Deployment`, each at a loopback address of its own."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from tests.fakes.kubernetes.hosts import own_host

ROOT = Path(__file__).parents[3]
WAIT_S = 20.0


class Named(Protocol):
    """What is asked of a pod."""

    @property
    def name(self) -> str: ...


class Processes:
    """`start` and `stop` are what a `Deployment` takes. All pods listen at one port, as those of a Service do.

    `grace_s` is how long a pod goes on serving after it was told to end.
    """

    def __init__(self, grace_s: float = 0.3) -> None:
        self.port = 0
        self.running: dict[str, subprocess.Popen[str]] = {}
        self._grace_s = grace_s

    def start(self, pod: Named) -> tuple[str, int]:
        """Run its application; returns where it listens."""
        for _ in range(10):
            host = own_host()
            process = self._run(host, pod.name)
            assert process.stdout is not None
            if line := process.stdout.readline():
                self.port = int(line)
                self.running[pod.name] = process
                return host, self.port
            process.wait(WAIT_S)
            process.stdout.close()
        raise OSError(errno.EADDRINUSE, f"port {self.port} is taken wherever it was tried")

    def stop(self, pod: Named) -> None:
        """Let it end in order, and wait for it."""
        self._end(self.running.pop(pod.name), is_killed=False)

    def kill(self, pod: Named) -> None:
        self._end(self.running.pop(pod.name), is_killed=True)

    def close(self) -> None:
        for process in self.running.values():
            self._end(process, is_killed=True)
        self.running.clear()

    def _run(self, host: str, name: str) -> subprocess.Popen[str]:
        words = ["-m", "tests.fakes.kubernetes.application", host, str(self.port), name, str(self._grace_s)]
        return subprocess.Popen([sys.executable, "-S", "-E", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def _end(self, process: subprocess.Popen[str], *, is_killed: bool) -> None:
        if is_killed:
            process.kill()
        else:
            process.terminate()
        process.wait(WAIT_S)
        assert process.stdout is not None
        process.stdout.close()
