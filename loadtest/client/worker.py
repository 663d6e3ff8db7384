"""A generator process: commands in, reports out (messages.py)."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import sys
from typing import Any

import msgspec
import uvloop

from loadtest.client.caller import Caller
from loadtest.client.plan import WorkError, addresses, plan
from loadtest.messages import Done, FromWorker, Ready, Retarget, Start, Stop, ToWorker, Trouble, Work
from loadtest.scenario.load import ScenarioError, parse

_REPORT_S = 0.25
_LINE_BYTES = 16 * 1024 * 1024
_OTHER_FILES = 64
"""Descriptors beside the connections."""

_decode = msgspec.json.Decoder(ToWorker).decode
_encode = msgspec.json.Encoder().encode


class Worker(asyncio.Protocol):
    """Reads commands from a pipe. `ended` is the exit status: there is nothing more to do, or nobody to do it for."""

    def __init__(self, out: asyncio.WriteTransport) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self._out = out
        self._begun = b""
        self._caller: Caller | None = None
        self._reports: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        try:
            for line in lines:
                self._on_command(_decode(line))
        except (WorkError, ScenarioError, msgspec.DecodeError, OSError) as error:
            self._say(Trouble(str(error)))
            self._end(1)
        if len(self._begun) > _LINE_BYTES:
            self._say(Trouble("a command is longer than 16 MiB"))
            self._end(1)

    def eof_received(self) -> None:
        self._end(0)

    def _on_command(self, command: ToWorker) -> None:
        if isinstance(command, Work):
            self._prepare(command)
            return
        if self._caller is None:
            raise WorkError(f"{type(command).__name__} came before Work")
        match command:
            case Start():
                if self._reports is not None:
                    raise WorkError("a second Start came; a process does one run")
                self._caller.start(command.at)
                self._reports = self._loop.call_later(_REPORT_S, self._report)
            case Retarget():
                self._caller.retarget(command.origin, addresses(command.origin, command.addresses))
            case Stop():
                self._caller.stop()

    def _prepare(self, work: Work) -> None:
        if self._caller is not None:
            raise WorkError("a second Work came; a process does one")
        todo = plan(work, parse(work.scenario))
        _allow_files(todo.connections * len(todo.addresses) + _OTHER_FILES)
        self._caller = Caller(todo)
        self._caller.done.add_done_callback(self._on_done)
        # What lives by now lives to the end, and what comes is taken apart when it ends: a collection would stop the
        # sending of what is due for as long as it takes to look at every object.
        gc.collect()
        gc.freeze()
        gc.disable()
        self._say(Ready())

    def _report(self) -> None:
        assert self._caller is not None
        self._reports = self._loop.call_later(_REPORT_S, self._report)
        if not self._out.get_write_buffer_size():  # else the parent is behind, and gets it with the next one
            self._say(self._caller.take())

    def _on_done(self, done: asyncio.Future[int]) -> None:
        assert self._caller is not None
        if self._reports is not None:
            self._reports.cancel()
        self._say(self._caller.take())
        self._say(Done(done.result()))
        self._end(0)

    def _say(self, message: FromWorker) -> None:
        self._out.write(_encode(message) + b"\n")

    def _end(self, status: int) -> None:
        if not self.ended.done():
            self.ended.set_result(status)


def _allow_files(number: int) -> None:
    """Raises the soft limit of open files to what is needed; WorkError when the hard one is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= number:
        return
    if hard != resource.RLIM_INFINITY and hard < number:
        raise WorkError(
            f"{number} open files are needed and {hard} allowed: raise ulimit -n, or lower load.connections"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


class _Out(asyncio.BaseProtocol):
    """Standard output: written to, and flushed at the end."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.lost.done():
            self.lost.set_result(None)


async def work() -> int:
    """Does what standard input says; the exit status."""
    loop = asyncio.get_running_loop()
    out, flushed = await loop.connect_write_pipe(_Out, sys.stdout.buffer)
    source, worker = await loop.connect_read_pipe(lambda: Worker(out), sys.stdin.buffer)
    ends: list[asyncio.Future[Any]] = [worker.ended, flushed.lost]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    source.close()
    out.close()
    await flushed.lost
    return worker.ended.result() if worker.ended.done() else 1


def main() -> None:
    """The process."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    sys.exit(uvloop.run(work()))
