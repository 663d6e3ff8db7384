"""The process: what it is told, what it says, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import msgspec
import pytest

from loadtest.messages import (
    CHUNK,
    SEEN_NOTHING,
    SEEN_SUCCESS,
    Done,
    FromWorker,
    Ready,
    Report,
    Retarget,
    Start,
    Stop,
    Trouble,
    Work,
)
from loadtest.process import Child
from tests.fakes.loop import until
from tests.fakes.origin import Connection, answering, ok, serving
from tests.loadtest.client.runs import Seen, at

SCENARIO = """
name: test
load:
  connections: 4
  phases:
    - {for: %s, rate: %s}
"""


class Process:
    """A generator process, spoken to in messages."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.seen = Seen()

    def tell(self, message: Any) -> None:
        self.child.tell(msgspec.json.encode(message))

    async def hear(self) -> FromWorker:
        async with asyncio.timeout(20):
            return msgspec.json.decode(await self.child.hear(), type=FromWorker)

    def work(self, target: str, span: str = "300ms", rate: str = "200/s", **fields: Any) -> None:
        work = Work(SCENARIO % (span, rate), "run", 0, 1, {"echo": [target]}, {"echo": "echo.test"}, 0.1)
        self.tell(msgspec.structs.replace(work, **fields))

    async def begin(self, *args: Any, **fields: Any) -> None:
        self.work(*args, **fields)
        assert isinstance(await self.hear(), Ready)
        self.tell(Start(monotonic()))

    async def rest(self) -> None:
        """Reads reports up to Done."""
        while isinstance(message := await self.hear(), Report):
            self.seen.add(message)
        assert isinstance(message, Done), message
        self.seen.sent = message.sent


@contextlib.asynccontextmanager
async def process() -> AsyncIterator[Process]:
    child = await Child.begin("client", [sys.executable, "-m", "loadtest.client"], speaks=True)
    try:
        yield Process(child)
    finally:
        await child.end()


async def test_a_run_is_prepared_started_reported_and_done():
    async with serving(answering(ok())) as origin, process() as client:
        await client.begin(at(origin), "700ms")
        await client.rest()
        assert await client.child.wait() == 0
        assert len(origin.requests) == 140
    assert client.seen.counts == {"200": 140}
    assert client.seen.bytes_seen == [SEEN_SUCCESS] * 140
    assert sum(client.seen.lateness.values()) == 140
    assert {bin_ for _, bin_ in client.seen.cells} == set(range(7))


async def test_reports_come_while_it_runs_and_add_up_over_chunks():
    reports = 0
    async with serving(answering(ok())) as origin, process() as client:
        await client.begin(at(origin), "1200ms", "4k/s")
        while isinstance(message := await client.hear(), Report):
            client.seen.add(message)
            reports += 1
            assert message.cpu_s >= 0
        assert isinstance(message, Done)
        assert message.sent == 4800
    assert reports >= 3
    assert sum(client.seen.counts.values()) == 4800
    assert {number for number, seen in client.seen.ledger.items() if seen} == set(range(4800))
    assert len(client.seen.ledger) == 2 * CHUNK


async def test_stop_gives_up_what_is_under_way_and_reports_it():
    async def all_but_the_tenth(connection: Connection) -> None:
        while await connection.request():
            if len(origin.requests) == 10:
                await connection.until_gone()
                return
            await connection.send(ok())

    async with serving(all_but_the_tenth) as origin, process() as client:
        await client.begin(at(origin), "1h")
        await until(lambda: len(origin.requests) > 20)
        client.tell(Stop())
        await client.rest()
        assert await client.child.wait() == 0
        await until(lambda: not origin.open)
        arrived = {int(request["x-request-id"].rpartition("-")[2]) for request in origin.requests}
    counts = client.seen.counts
    assert set(counts) <= {"200", "abandoned"}
    assert counts["abandoned"] >= 1
    assert sum(counts.values()) == client.seen.sent
    assert Counter(client.seen.bytes_seen)[SEEN_SUCCESS] == counts["200"]
    assert {n for n, seen in enumerate(client.seen.bytes_seen) if seen == SEEN_NOTHING} <= arrived


async def test_it_ends_when_nobody_is_there_to_hear_it():
    async with serving(answering(ok())) as origin, process() as client:
        await client.begin(at(origin), "1h")
        await until(lambda: origin.requests)
        assert client.child._process.stdin is not None
        client.child._process.stdin.close()
        async with asyncio.timeout(10):
            assert await client.child.wait() == 0
        await until(lambda: not origin.open)


async def test_a_new_target_is_told_while_it_runs():
    async def one_each(connection: Connection) -> None:
        if await connection.request():
            await connection.send(ok())

    async with serving(one_each) as old, serving(one_each) as new, process() as client:
        await client.begin(at(old), "1h")
        await until(lambda: old.requests)
        client.tell(Retarget("echo", [at(new)]))
        await until(lambda: len(new.requests) > 5)
        before = len(old.requests)
        await until(lambda: len(new.requests) > 20)
        assert len(old.requests) == before


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scenario": "name: test\nload: {phases: []}\n"}, "load.phases"),
        ({"targets": {}}, "no targets"),
        ({"targets": {"echo": []}}, "no address"),
        ({"targets": {"echo": ["nowhere"]}}, "HOST:PORT"),
        ({"worker": 2, "workers": 2}, "0 to 1"),
        ({"bin_s": 0.0}, "bin_s"),
    ],
)
async def test_work_that_cannot_be_done_is_refused_in_words(fields: dict[str, Any], message: str):
    async with process() as client:
        client.work("127.0.0.1:1", **fields)
        trouble = await client.hear()
        assert isinstance(trouble, Trouble)
        assert message in trouble.message
        assert await client.child.wait() == 1


async def test_what_is_no_command_is_refused_in_words():
    async with process() as client:
        client.child.tell(b'{"type": "dance"}')
        trouble = await client.hear()
        assert isinstance(trouble, Trouble)
        assert "dance" in trouble.message
    async with process() as client:
        client.tell(Start(0.0))
        assert isinstance(await client.hear(), Trouble)
