"""A scenario's origins on an event loop of their own, for clients that block; and such clients."""

from __future__ import annotations

import asyncio
import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import uvloop
import yaml

from loadtest.block import APP_PORT, Block
from loadtest.messages import CHUNK, Executions, Open, Retire, Serve, Take, TrafficCell
from loadtest.origin.fleet import Fleet
from loadtest.scenario.load import parse

RUN = "r7"
PATIENCE_S = 10.0
_UNACKED_AT = 24
"""Of tcpi_unacked in struct tcp_info (linux/tcp.h)."""

T = TypeVar("T")


def text(faults: list[dict[str, Any]] | None = None, **origins: dict[str, Any]) -> str:
    """A scenario with these faults (`for` is an hour where it is not given) and origins."""
    return yaml.safe_dump(
        {
            "name": "test",
            "origins": origins or {"echo": {}},
            "faults": [{"for": "1h", **fault} for fault in faults or []],
            "load": {"phases": [{"for": "1h", "rate": "1/s"}]},
        },
        sort_keys=False,
    )


class Origins:
    """Everything that the process could be ordered to do, without the process."""

    def __init__(self, scenario: str, start_in_s: float | None) -> None:
        checked = parse(scenario)
        self.block = Block()
        self.troubles: list[str] = []
        self.errors: list[str] = []
        self._cells: list[TrafficCell] = []
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.errors.append(str(context)))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.addresses = {
            name: [self.block.address() for _ in range(origin.instances)] for name, origin in checked.origins.items()
        }
        serve = Serve(scenario, RUN, self.addresses, APP_PORT, 0.1)

        async def make() -> Fleet:
            return Fleet(serve, checked, self.troubles.append)

        self._fleet = self._await(make())
        self._await(self._fleet.open_all())
        self.at = 0.0
        if start_in_s is not None:
            self.start(start_in_s)

    def _await(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def do(self, call: Callable[..., T], *arguments: Any) -> T:
        async def run() -> T:
            return call(*arguments)

        result: T = self._await(run())
        return result

    def start(self, in_s: float = 0.0) -> None:
        self.at = time.monotonic() + in_s
        self.do(self._fleet.start, self.at)

    def open(self, origin: str, number: int) -> None:
        address = self.block.address()
        self._await(self._fleet.open(Open(origin, number, address)))
        self.addresses[origin].append(address)

    def retire(self, origin: str, number: int, grace_s: float) -> None:
        self.do(self._fleet.retire, Retire(origin, number, grace_s))

    def take(self, *chunks: tuple[int, int], rest: bool = False) -> list[Executions]:
        return self.do(self._fleet.take, Take(list(chunks), rest)).chunks

    def unknown(self) -> int:
        return self.do(self._fleet.take, Take()).unknown

    def counts(self) -> dict[str, tuple[int, int]]:
        """How often each id arrived and was executed; told once, as by Take."""
        return {
            f"{RUN}-{each.worker}-{each.index * CHUNK + at}": (each.received[at], each.executed[at])
            for each in self.take(rest=True)
            for at in range(CHUNK)
            if each.received[at] or each.executed[at]
        }

    def cells(self) -> list[TrafficCell]:
        """What all instances saw since the last time that this was asked."""
        self.working()
        cells, self._cells = self._cells, []
        return cells

    def working(self) -> int:
        traffic = self.do(self._fleet.traffic)
        self._cells += traffic.cells
        return traffic.working

    def run_s(self) -> float:
        return time.monotonic() - self.at

    def address(self, origin: str = "echo", number: int = 1) -> tuple[str, int]:
        return self.addresses[origin][number - 1], APP_PORT

    def connect(self, origin: str = "echo", number: int = 1) -> Caller:
        return Caller(socket.create_connection(self.address(origin, number), PATIENCE_S))

    def close(self) -> None:
        self.do(self._fleet.end)
        # The connections' ends are a turn or two away.
        self._await(asyncio.sleep(0.01))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.block.release()


@contextmanager
def serving(scenario: str | None = None, start_in_s: float | None = 0.0) -> Iterator[Origins]:
    """Origins that accept; the run starts so long from now, or never. Nothing has gone wrong at their end."""
    origins = Origins(scenario or text(), start_in_s)
    try:
        yield origins
    finally:
        origins.close()
    assert not origins.errors
    assert not origins.troubles


class Caller:
    """One connection, by the standard library's client or by bytes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def ask(self, number: int | None = None, method: str = "GET", *fields: str) -> None:
        lines = [f"{method} / HTTP/1.1", "host: echo", *fields]
        if number is not None:
            lines.append(f"x-request-id: {RUN}-0-{number}")
        self.send("\r\n".join([*lines, "", ""]).encode())

    def answer(self, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
        """One answer, by http.client; use `read` for several that may come in one piece."""
        response = http.client.HTTPResponse(self.sock, method=method)
        response.begin()
        return response, response.read()

    def get(self, number: int | None = None, *fields: str) -> int:
        self.ask(number, "GET", *fields)
        return self.answer()[0].status

    def read(self) -> bytes:
        """Everything until the connection ends; ConnectionResetError when that is a reset."""
        found = b""
        while piece := self.sock.recv(65_536):
            found += piece
        return found

    def is_silent(self, for_s: float = 0.1) -> bool:
        """Whether it stays open and nothing comes."""
        self.sock.settimeout(for_s)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(PATIENCE_S)
        return False

    def unacknowledged(self) -> int:
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        count: int = struct.unpack_from("I", info, _UNACKED_AT)[0]
        return count


def eventually(holds: Callable[[], object], what: str = "") -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, what or "it never came"
        time.sleep(0.002)
