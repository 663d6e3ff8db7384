"""Simulated sidecars that note what they acknowledge, and when: `python -m tests.bench.sidecars`.

Spoken to by lines of JSON. The first one is a Setup, answered once all streams are open; each further one, a Watch, is
answered by what was noted since the one before. Ends with standard input, or when a stream is lost.
"""

from __future__ import annotations

import asyncio
import gc
import re
import time

import msgspec
import uvloop
from msgspec import Struct

from tests.bench.child import answer, questions
from tests.bench.cluster import names_of
from tests.bench.followers import followed
from tests.bench.streams import LightStream, connect
from tests.fakes.kubernetes.generate import Plan

_PLACE = re.compile(rb'"address":"11\.([0-9]+)\.([0-9]+)\.([0-9]+)"')
PING_S = 0.001


class Setup(Struct):
    """`services` with `endpoints` were generated; for the others see tests.bench.followers, but the streams follow
    only the first `spread` Services.
    """

    push: int
    services: int
    endpoints: int
    streams: int
    spread: int
    follow: int
    watched: list[int]


class Watch(Struct):
    """`is_pinging`: from now on one stream measures how long the control plane takes to answer a ping."""

    is_pinging: bool = False


class Ack(Struct, array_like=True):
    """A stream has acknowledged a push with an address of this turn."""

    stream: int
    turn: int
    at: float


class Noted(Struct):
    """`longest_s`: of the answers to pings; 0 if there were none."""

    acks: list[Ack]
    longest_s: float


class Sidecar(LightStream):
    """Notes each address of a turn with the Ack of the push that had it."""

    def __init__(self, number: int, names: list[str], acks: list[Ack]) -> None:
        super().__init__(number, names)
        self.longest_s = 0.0
        self._acks = acks
        self._turns: list[int] = []
        self._pings: asyncio.Task[None] | None = None

    def ping(self, *, is_on: bool) -> None:
        """Measure, or do so no more."""
        if self._pings is not None:
            self._pings.cancel()
        self._pings = asyncio.get_running_loop().create_task(self._ping()) if is_on else None

    async def _ping(self) -> None:
        while True:
            super()._write(0x9, b"%f" % time.monotonic())
            await asyncio.sleep(PING_S)

    def _frame(self) -> tuple[int, bytes] | None:
        frame = super()._frame()
        if frame is not None:
            opcode, payload = frame
            if opcode == 0x1:
                self._turns = [turn_of(*map(int, parts)) for parts in _PLACE.findall(payload)]
            elif opcode == 0xA:
                self.longest_s = max(self.longest_s, time.monotonic() - float(payload))
        return frame

    def _write(self, opcode: int, payload: bytes) -> None:
        super()._write(opcode, payload)
        if opcode == 0x1 and self._turns:
            now = time.monotonic()
            self._acks += [Ack(self._number, turn, now) for turn in self._turns]
            self._turns = []


def turn_of(high: int, middle: int, low: int) -> int:
    """The other way of tests.bench.catalog.place_of."""
    return (high * 250 + middle) * 250 + low - 1


def follow(stream: int, setup: Setup) -> list[int]:
    """Which Services a stream follows."""
    return followed(stream, setup.watched, setup.spread, setup.follow)


async def serve() -> None:
    lines = questions()
    setup = msgspec.json.decode(await anext(lines), type=Setup)
    plan, acks = Plan(setup.services, setup.endpoints), list[Ack]()
    sidecars = [
        Sidecar(number, [name for n in follow(number, setup) for name in names_of(plan, n)], acks)
        for number in range(setup.streams)
    ]
    await connect(sidecars, setup.push)
    gc.collect()
    gc.freeze()
    gc.disable()
    answer({})
    async for line in lines:
        sidecars[0].ping(is_on=msgspec.json.decode(line, type=Watch).is_pinging)
        answer(Noted(acks, sidecars[0].longest_s))
        acks.clear()
        sidecars[0].longest_s = 0.0


if __name__ == "__main__":
    uvloop.run(serve())
