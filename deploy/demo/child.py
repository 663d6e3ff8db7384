"""Processes of the demo. None outlives it, not even when it is killed."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
POLL_S = 0.02
END_S = 2.0
"""How long processes may take to end by themselves before they are killed."""
TAIL_BYTES = 1500

_FLAGS = ("MESHPROXY_", "MESHCONTROL_", "MESHCTL_")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_parent = os.getpid()


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


class ToolError(DemoError):
    """A tool has not done its work; the text is what it said."""


def _die_with_parent() -> None:
    """Run in the child before its program: the kernel kills it when the demo ends, however that happens."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != _parent:
        os._exit(1)


class Child:
    """`command` in a session of its own, so that the terminal's Ctrl-C is the demo's to handle; output in `log`."""

    __slots__ = ("_log", "_popen", "_told", "name")

    def __init__(self, name: str, command: list[str], log: Path, *, piped: bool = False) -> None:
        self.name = name
        self._log = log
        # Every flag can be taken from the environment too; what is set there is not meant for these.
        env = {key: value for key, value in os.environ.items() if not key.startswith(_FLAGS)}
        with log.open("ab") as file:
            self._told = file.tell()  # what others said before
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else file,
                stderr=file,
                cwd=ROOT,
                env=env,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - the demo has one thread
            )

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    async def lines(self) -> asyncio.StreamReader:
        """Standard output of a piped one."""
        reader = asyncio.StreamReader(limit=4 * 1024 * 1024)
        assert self._popen.stdout is not None
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._popen.stdout
        )
        return reader

    async def finish(self) -> None:
        """Wait for a tool's end; ToolError unless it has done its work."""
        try:
            await self.ended()
        finally:
            self.kill()
        if self._popen.returncode:
            raise ToolError(self.failure())

    async def ended(self) -> None:
        """Wait until it has ended."""
        while self.is_running:  # noqa: ASYNC110 - asyncio's own way to wait takes a thread
            await asyncio.sleep(POLL_S)

    def check(self) -> None:
        """Raise DemoError when a process that should run has ended."""
        if not self.is_running:
            raise DemoError(self.failure())

    def failure(self) -> str:
        return f"{self.name} has ended with {self._popen.returncode}, and said:\n{self.said() or '(nothing)'}"

    def said(self) -> str:
        """The end of what it has written."""
        return self._log.read_bytes()[self._told :][-TAIL_BYTES:].decode(errors="replace").strip()

    def terminate(self) -> None:
        """Ask it to end."""
        self._popen.terminate()

    def kill(self) -> None:
        """End it at once, whatever it does."""
        self._popen.kill()
        self._popen.wait()


def end(children: Iterable[Child]) -> None:
    """End all: by SIGTERM, and what is there after END_S by SIGKILL."""
    children = list(children)
    for child in children:
        child.terminate()
    last = time.monotonic() + END_S
    while time.monotonic() < last and any(child.is_running for child in children):
        time.sleep(POLL_S)
    for child in children:
        child.kill()


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]
