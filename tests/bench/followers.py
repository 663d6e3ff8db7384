"""Streams of sidecars, and changes whose way to all of them is measured: `python -m tests.bench.followers`.

Spoken to by lines of JSON on standard input. The first one is a Setup, answered once all streams are open; each further
one is an Order, answered with its Outcome. Ends with standard input, or when a stream is lost.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec
import uvloop
from msgspec import Struct

from tests.bench.catalog import names_of, path_of, place_of, slice_of
from tests.bench.child import answer, questions
from tests.bench.pace import percentile
from tests.bench.rest import Rest
from tests.bench.streams import LightStream, connect

PAUSE_S = 0.02
"""Between two changes, so that none waits for the one before it to be out of the way."""
TIMEOUT_S = 10.0


class Setup(Struct):
    """Of the first len(watched) Services, the k-th is followed by the first watched[k] streams; each follows others."""

    api: int
    push: int
    token: str
    streams: int
    services: int
    endpoints: int
    follow: int
    watched: list[int]


class Order(Struct):
    """Change watched Service `service` for so long, and at least so often.

    `is_confirmed`: it is waited until the control plane has taken each Ack, else until each is sent.
    """

    service: int
    seconds: float
    least: int
    is_confirmed: bool


class Outcome(Struct):
    """`failed` changes were not acknowledged by all.

    Times in seconds, from the start of a change's request, and from its answer, to the last Ack.
    """

    changes: int
    failed: int
    p50_s: float
    p99_s: float
    answered_p50_s: float
    answered_p99_s: float


class Follower(LightStream):
    """Says when it has acknowledged a push that `expects` (a part of it) and, if asked, when that has been taken."""

    def __init__(self, number: int, names: list[str], on_done: Callable[[], None]) -> None:
        super().__init__(number, names)
        self.expects = b""
        self.is_confirmed = False
        self._on_done = on_done
        self._is_expected = False
        self._is_closing = False

    def close(self) -> None:
        self._is_closing = True
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_closing:
            super().connection_lost(exc)

    def _frame(self) -> tuple[int, bytes] | None:
        frame = super()._frame()
        if frame is not None and self.expects:
            opcode, payload = frame
            if opcode == 0x1:
                self._is_expected = self.expects in payload
            elif opcode == 0xA:
                self._finish()
        return frame

    def _write(self, opcode: int, payload: bytes) -> None:
        super()._write(opcode, payload)
        if opcode == 0x1 and self._is_expected:
            self._is_expected = False
            if self.is_confirmed:
                # Answered in its turn: then what was sent before it has been dealt with.
                super()._write(0x9, b"")
            else:
                self._finish()

    def _finish(self) -> None:
        self.expects = b""
        self._on_done()


class Followers:
    """All streams, and the connection that changes are made by."""

    def __init__(self, setup: Setup, rest: Rest) -> None:
        self._setup = setup
        self._rest = rest
        self._streams: list[Follower] = []
        self._missing = 0
        self._all = asyncio.Event()
        self._turn = 0

    async def open(self) -> None:
        """Connect all of them; what they follow is pushed by and by."""
        setup = self._setup
        self._streams = [Follower(n, self._names(n), self._on_done) for n in range(setup.streams)]
        await connect(self._streams, setup.push)

    def _names(self, stream: int) -> list[str]:
        setup = self._setup
        chosen = followed(stream, setup.watched, setup.services, setup.follow)
        return [name for n in chosen for name in names_of(n)]

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        self._rest.close()

    async def carry_out(self, order: Order) -> Outcome:
        streams = self._streams[: self._setup.watched[order.service]]
        whole, answered, failed = [], [], 0
        end = time.monotonic() + order.seconds
        while time.monotonic() < end or len(whole) < order.least:
            began, answered_at, done_at = await self._change(order, streams)
            failed += 1 if self._missing else 0
            whole.append(done_at - began)
            # The pushes are on their way before the answer is: the last Ack may come first.
            answered.append(max(0.0, done_at - answered_at))
            await asyncio.sleep(PAUSE_S)
        whole.sort()
        answered.sort()
        shares = [percentile(times, share) for times in (whole, answered) for share in (50, 99)]
        return Outcome(len(whole), failed, *shares)

    async def _change(self, order: Order, streams: list[Follower]) -> tuple[float, float, float]:
        """When the request began, when it was answered, when all had acknowledged it or TIMEOUT_S were over."""
        self._turn += 1
        expects = b'"%s"' % place_of(self._turn).encode()
        for stream in streams:
            stream.expects, stream.is_confirmed = expects, order.is_confirmed
        self._missing = len(streams)
        self._all.clear()
        document = slice_of(order.service, self._setup.endpoints, self._turn)
        began = time.monotonic()
        acknowledged = asyncio.ensure_future(self._acknowledged())
        await self._rest.put(path_of(document), document)
        answered_at = time.monotonic()
        if not streams:
            # There is nobody to wait for: the answer is the end.
            self._all.set()
        return began, answered_at, await acknowledged

    async def _acknowledged(self) -> float:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all.wait(), TIMEOUT_S)
        return time.monotonic()

    def _on_done(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._all.set()


def followed(stream: int, watched: list[int], services: int, follow: int) -> list[int]:
    """Which Services a stream follows: the watched ones that it is among the followers of, and others evenly."""
    chosen = [k for k, count in enumerate(watched) if stream < count]
    rest, others = follow - len(chosen), services - len(watched)
    return chosen + [len(watched) + (stream * rest + k) % others for k in range(rest)]


async def serve() -> None:
    lines = questions()
    setup = msgspec.json.decode(await anext(lines), type=Setup)
    followers = Followers(setup, await Rest.open(setup.api, setup.token))
    await followers.open()
    gc.collect()
    gc.freeze()
    gc.disable()
    answer({})
    async for line in lines:
        answer(await followers.carry_out(msgspec.json.decode(line, type=Order)))


if __name__ == "__main__":
    uvloop.run(serve())
