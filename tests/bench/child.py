"""A helping process on the load's core that is spoken to by lines of JSON: to each question one answer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Self

import msgspec

from tests.bench.place import ROOT, Place
from tests.bench.process import StartError

LINE_BYTES = 1 << 20


class Child:
    """`python -m MODULE`, as long as the block lasts."""

    def __init__(self, place: Place, module: str) -> None:
        self._module = module
        self._child = subprocess.Popen(
            ["taskset", "-c", str(place.cores.load), sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.communicate()

    def ask(self, question: Any) -> bytes:
        """Return the line that answers. Raise StartError when the process has ended."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(BrokenPipeError):
            self._child.stdin.write(msgspec.json.encode(question) + b"\n")
            self._child.stdin.flush()
        answer = self._child.stdout.readline()
        if not answer:
            raise StartError(f"{self._module} ended with {self._child.wait()}")
        return answer


async def questions() -> AsyncIterator[bytes]:
    """The lines that the other side of a Child is asked."""
    reader = asyncio.StreamReader(LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line


def answer(said: Any) -> None:
    """Answer the last question."""
    print(msgspec.json.encode(said).decode(), flush=True)
