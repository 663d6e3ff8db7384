"""The origin's process, as a run speaks to it."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from loadtest.block import APP_PORT, Block
from loadtest.messages import (
    FromOrigin,
    Listening,
    Open,
    Opened,
    Retire,
    Serve,
    Start,
    Stop,
    Take,
    Taken,
    ToOrigin,
    Traffic,
    Trouble,
)
from loadtest.process import Child
from tests.loadtest.origin.running import Caller, text

decoder: msgspec.json.Decoder[FromOrigin] = msgspec.json.Decoder(FromOrigin)


class Process:
    def __init__(self, child: Child, block: Block) -> None:
        self.child = child
        self.block = block
        self.traffic: list[Traffic] = []

    def order(self, *orders: ToOrigin) -> None:
        for order in orders:
            self.child.tell(msgspec.json.encode(order))

    def serve(self, *addresses: str, scenario: str | None = None) -> None:
        self.order(Serve(scenario or text(), "r", {"echo": list(addresses)}, APP_PORT, 0.1))

    async def hear(self) -> Any:
        """What it says next that is no Traffic; None when there is nothing more."""
        while line := await self.child.hear():
            message = decoder.decode(line)
            if not isinstance(message, Traffic):
                return message
            self.traffic.append(message)
        return None


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    block = Block()
    child = await Child.begin("origin", [sys.executable, "-m", "loadtest.origin"], speaks=True)
    yield Process(child, block)
    await child.end()
    block.release()


def get(address: str, request_id: str) -> int:
    client = http.client.HTTPConnection(address, APP_PORT, timeout=5)
    client.request("GET", "/", headers={"x-request-id": request_id, "connection": "close"})
    status = client.getresponse().status
    client.close()
    return status


async def test_a_run_from_its_first_word_to_its_last(process: Process) -> None:
    first, second = process.block.address(), process.block.address()
    process.serve(first)
    assert await process.hear() == Listening()
    process.order(Start(time.monotonic()))
    assert get(first, "r-0-1") == 200
    process.order(Open("echo", 2, second))
    assert await process.hear() == Opened("echo", 2)
    process.order(Retire("echo", 1, 0.1))
    assert get(second, "r-3-4097") == 200
    process.order(Take([(0, 0)]))
    taken = await process.hear()
    assert isinstance(taken, Taken)
    assert [(each.worker, each.index, each.received[1], each.executed[1]) for each in taken.chunks] == [(0, 0, 1, 1)]
    process.order(Take(rest=True))
    taken = await process.hear()
    assert [(each.worker, each.index, each.received[1], each.executed[1]) for each in taken.chunks] == [(3, 1, 1, 1)]
    with pytest.raises(ConnectionRefusedError):
        get(first, "r-0-2")
    with Caller(socket.create_connection((second, APP_PORT), 5)) as idle:
        assert idle.get() == 200
        process.order(Stop())
        assert await process.hear() is None
        with pytest.raises(ConnectionResetError):
            idle.read()
    assert await process.child.wait() == 0
    cells = [cell for traffic in process.traffic for cell in traffic.cells]
    assert [sum(cell.executed for cell in cells if cell.instance == number) for number in (1, 2)] == [1, 2]
    assert process.traffic[-1].cpu_s > 0
    assert not process.child.log


async def test_traffic_is_told_several_times_a_second(process: Process) -> None:
    process.serve(process.block.address())
    await process.hear()
    began = time.monotonic()
    process.order(Start(began))
    for _ in range(3):
        assert isinstance(decoder.decode(await process.child.hear()), Traffic)
    assert time.monotonic() - began >= 0.5


async def test_it_ends_with_its_orders(process: Process) -> None:
    address = process.block.address()
    process.serve(address)
    await process.hear()
    assert process.child._process.stdin is not None
    process.child._process.stdin.close()
    assert await process.child.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        get(address, "r-0-1")


async def test_it_starts_once(process: Process) -> None:
    process.serve(process.block.address())
    assert await process.hear() == Listening()
    process.order(Start(time.monotonic()), Start(time.monotonic()))
    assert await process.hear() == Trouble("start comes once")
    assert await process.child.wait() == 1


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        # In a timer, in a connection, and in an order; an error without a text is one all the same.
        ("Instance._done = fail(ValueError('this'))", "ValueError('this')"),
        ("Instance.receive = fail(ValueError('that'))", "ValueError('that')"),
        ("Fleet.open_all = fail(OSError())", "OSError()"),
    ],
)
async def test_a_mistake_of_its_own_is_trouble_and_ends_it(broken: str, said: str) -> None:
    program = f"""
import sys
from loadtest.origin.__main__ import main
from loadtest.origin.fleet import Fleet
from loadtest.origin.instance import Instance

def fail(error):
    def call(*_):
        raise error
    return call

{broken}
sys.exit(main())
"""
    block = Block()
    process = Process(await Child.begin("origin", [sys.executable, "-c", program], speaks=True), block)
    try:
        address = block.address()
        process.serve(address, scenario=text(None, echo={"service_time": "1ms"}))
        heard = await process.hear()
        if heard == Listening():
            process.order(Start(time.monotonic()))
            with socket.create_connection((address, APP_PORT), 5) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nhost: echo\r\n\r\n")
                heard = await process.hear()
        assert isinstance(heard, Trouble)
        assert said in heard.message
        assert await process.child.wait() == 1
    finally:
        await process.child.end()
        block.release()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", "malformed"),
        ('{"type":"nonsense"}', "nonsense"),
        ('{"type":"take"}', "the first line is serve"),
        (
            json.dumps({"type": "serve", "scenario": "name: 1", "run": "r", "addresses": {}, "port": 1, "bin_s": 0.1}),
            "load",
        ),
        (
            json.dumps(
                {
                    "type": "serve",
                    "scenario": text(),
                    "run": "r",
                    "addresses": {"echo": ["192.0.2.1"]},
                    "port": 1,
                    "bin_s": 1,
                }
            ),
            "cannot listen on 192.0.2.1:1",
        ),
    ],
)
async def test_what_cannot_be_done_is_trouble_and_ends_it(process: Process, line: str, said: str) -> None:
    process.child.tell(line.encode())
    trouble = await process.hear()
    assert isinstance(trouble, Trouble)
    assert said in trouble.message
    assert await process.child.wait() == 1
