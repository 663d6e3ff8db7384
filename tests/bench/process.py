"""A process that is measured or that helps to measure: started on one core, watched through /proc, ended by its pid."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

END_S = 5.0
"""How long a process may take to end by itself before it is killed."""


class StartError(Exception):
    """A subject could not be made ready; the message carries the end of its log."""


class Process:
    """`command` on `core`, in a session of its own, with its output in `directory/NAME.log`. It may have children."""

    __slots__ = ("_child", "_log", "name")

    def __init__(
        self, name: str, command: list[str], core: int, directory: Path, env: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self._log = directory / f"{name}.log"
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def check(self) -> None:
        """Raise StartError when the process has ended."""
        if self._child.poll() is not None:
            raise StartError(f"{self.name} ended with {self._child.returncode}\n{self.log_tail()}")

    def log_tail(self, size_bytes: int = 2000) -> str:
        return self._log.read_bytes()[-size_bytes:].decode(errors="replace")

    def cpu_s(self) -> float:
        """Seconds on a processor so far, user and kernel, of all its threads and of its children's."""
        total_ns = 0
        for pid in self._pids():
            with suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    total_ns += int((task / "schedstat").read_text().split()[0])
        return total_ns / 1e9

    def rss_bytes(self) -> int:
        return self._status("VmRSS")

    def peak_rss_bytes(self) -> int:
        """The largest resident size since the start or `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        for pid in self._pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def stop(self) -> None:
        """End it by SIGTERM, and after END_S by SIGKILL; children that outlive it end with it."""
        self._child.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(END_S)
        # Its session is its own, so that the group holds this process and its children alone.
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def _pids(self) -> list[int]:
        found, pending = [], [self._child.pid]
        while pending:
            pid = pending.pop()
            found.append(pid)
            with suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    pending += map(int, (task / "children").read_text().split())
        return found

    def _status(self, field: str) -> int:
        total_kib = 0
        for pid in self._pids():
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith(field + ":"):
                        total_kib += int(line.split()[1])
        return total_kib * 1024
