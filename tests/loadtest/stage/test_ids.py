"""What is executed twice, repeated or never executed is found out by ids: real origins, real generator processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import monotonic

import pytest
import yaml

from loadtest.block import Block
from loadtest.messages import Report
from loadtest.results.ledger import Reconciler
from loadtest.results.model import Ledger
from loadtest.scenario.load import parse
from loadtest.stage.instances import Instances
from loadtest.stage.workers import Workers
from loadtest.subjects.subject import Entry

COUNT = 50
RUN = "0a1b2c3d"
Address = tuple[str, int]


def scenario(method: str, faults: list[dict[str, object]]) -> str:
    return yaml.safe_dump(
        {
            "name": "ids",
            "faults": faults,
            "load": {
                "timeout": "2s",
                "requests": [{"method": method}],
                "phases": [{"for": "250ms", "rate": f"{COUNT * 4}/s"}],
            },
        }
    )


async def ask(address: Address, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head + await reader.readexactly(length)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def middle(origin: Address, times: int) -> AsyncIterator[Address]:
    """A proxy that sends every request so many times, and answers as the last one did; none: it answers by itself."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
                for _ in range(times):
                    answer = await ask(origin, request)
                writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()
        server.close()


async def ledger(method: str, times: int, faults: list[dict[str, object]] | None = None) -> Ledger:
    """Of COUNT requests through such a proxy."""
    text = scenario(method, faults or [])
    block = Block()
    found = Reconciler(RUN)

    def on_report(worker: int, report: Report) -> None:
        for outcomes in report.chunks:
            found.saw(worker, outcomes, monotonic())

    instances = Instances(parse(text), block, lambda _: None)
    workers = Workers(on_report)
    try:
        await instances.begin(text, RUN, 0.25, ())
        origin = instances.now["echo"][0].address
        async with middle(origin, times) as entry:
            await workers.begin(1, ())
            await workers.prepare(text, RUN, {"echo": Entry([entry], "echo")}, 0.25)
            at = monotonic()
            instances.start(at)
            workers.start(at)
            await workers.work()
        await instances.idle(5)
        for executions in await instances.take([], rest=True):
            found.executed(executions)
        return found.ledger(instances.unknown)
    finally:
        await workers.end()
        await instances.end()
        block.release()


async def test_what_is_sent_once_is_executed_once() -> None:
    found = await ledger("POST", 1)
    assert (found.sent, found.succeeded, found.writes) == (COUNT, COUNT, COUNT)
    assert (found.repeated, found.executed_twice, found.lost, found.unknown) == (0, 0, 0, 0)
    assert found.amplification == 1


@pytest.mark.parametrize(("method", "writes"), [("POST", COUNT), ("PATCH", COUNT), ("GET", 0), ("PUT", 0)])
async def test_what_is_executed_twice_is_told_and_writes_by_themselves(method: str, writes: int) -> None:
    found = await ledger(method, 2)
    assert (found.sent, found.succeeded) == (COUNT, COUNT)
    assert (found.repeated, found.executed_twice) == (COUNT, COUNT)
    assert (found.writes_repeated, found.writes_executed_twice) == (writes, writes)
    assert found.amplification == 2
    assert len(found.examples["executed_twice"]) == 5


async def test_a_repeated_write_that_was_executed_once_is_no_double_execution() -> None:
    refused_first = [{"at": "0s", "for": "1h", "status": 503, "percent": 50}]
    found = await ledger("POST", 2, refused_first)
    assert found.writes_repeated == COUNT
    assert 0 < found.writes_executed_twice < COUNT
    assert found.amplification == 2


async def test_a_success_that_nothing_executed_is_lost() -> None:
    found = await ledger("POST", 0)
    assert (found.succeeded, found.lost, found.repeated) == (COUNT, COUNT, 0)
    assert found.examples["lost"] == [f"{RUN}-0-{number}" for number in range(5)]


async def test_a_failure_that_was_executed_is_told() -> None:
    found = await ledger("POST", 1, [{"at": "0s", "for": "1h", "truncate": True}])
    assert (found.succeeded, found.failed, found.failed_executed) == (0, COUNT, COUNT)
