"""Children of a run: begun, told, listened to, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
from collections import deque
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LOG_LINES = 200
_LOG_PIECE_BYTES = 65_536
_LINE_BYTES = 64 * 1024 * 1024
_SETTINGS = ("MESHPROXY_", "MESHCONTROL_")
"""Variables that a user may have set for a mesh of their own: a subject is as its files and its command line say."""
_MOST_FILES = 1 << 20
"""Some programs take memory for each that they may open."""
_DRAIN_S = 1.0
"""A child of the child may still hold the pipe."""

_libc = ctypes.CDLL(None, use_errno=True)


class ChildError(Exception):
    """A child could not be begun, or ended by itself. The message names it and shows its last words."""


def _die_with_parent(parent: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended before
        os.kill(os.getpid(), signal.SIGKILL)


def _allow_files() -> None:
    """As many open files as this user may have.

    A connection is a file, and what a shell's soft limit happens to be is no property of a subject.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Child:
    """A process that ends with this one, whatever ends it (PR_SET_PDEATHSIG). Its log's last lines are kept."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self._process = process
        self._reading: list[asyncio.Task[None]] = []

    @classmethod
    async def begin(
        cls,
        name: str,
        command: Sequence[str | Path],
        *,
        speaks: bool = False,
        cwd: Path | None = None,
        cores: Sequence[int] = (),
    ) -> Child:
        """Starts it; `cores`: where it may run; default: anywhere.

        One that `speaks` takes commands on its standard input and reports on its standard output, line by line; of
        another both outputs are log.
        """
        parent = os.getpid()
        words = [str(word) for word in command]

        def prepare() -> None:
            _die_with_parent(parent)
            _allow_files()
            if cores:
                os.sched_setaffinity(0, cores)

        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE if speaks else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE if speaks else asyncio.subprocess.STDOUT,
                cwd=cwd,
                env={name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)},
                limit=_LINE_BYTES,
                preexec_fn=prepare,  # safe: other threads of this process only wait for children
                start_new_session=True,  # Ctrl-C of the terminal is the run's to handle
            )
        except OSError as error:
            raise ChildError(f"{name} cannot be started: {words[0]}: {error.strerror}") from None
        child = cls(name, process)
        log = process.stderr if speaks else process.stdout
        assert log is not None
        child._reading.append(asyncio.create_task(child._keep(log)))
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def _keep(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        while piece := await stream.read(_LOG_PIECE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) >= _LOG_PIECE_BYTES:
                lines, rest = [*lines, rest], b""
            self.log.extend(line.decode(errors="replace") for line in lines)
        if rest:
            self.log.append(rest.decode(errors="replace"))

    def tell(self, line: bytes) -> None:
        """One line to its standard input; lost when it has ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, RuntimeError):
            self._process.stdin.write(line + b"\n")

    async def hear(self) -> bytes:
        """The next line of its standard output; empty when there will be none."""
        assert self._process.stdout is not None
        return await self._process.stdout.readline()

    async def wait(self) -> int:
        """Its exit status; what it said last is in the log by then."""
        status = await self._process.wait()
        await asyncio.wait(self._reading, timeout=_DRAIN_S)
        return status

    def kill(self) -> None:
        """SIGKILL, now; `end` still has to be awaited."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # Not by the Popen object: it looks first whether the child has ended, and takes the status away from the loop.
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def end(self, patience_s: float = 3.0) -> None:
        """SIGTERM, and SIGKILL when that was not enough in time. Nothing of it is left after this."""
        try:
            if self.is_running:
                self._signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), patience_s)
        finally:
            self.kill()
            await self._process.wait()
            for task in self._reading:
                task.cancel()

    def last_words(self) -> str:
        """What it said last, for an error message."""
        return "\n".join(list(self.log)[-12:]) or "(it said nothing)"
