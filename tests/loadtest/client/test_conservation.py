"""Every request has one outcome, the one that it had, whatever servers do."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from random import Random
from typing import Any

import pytest

from loadtest.messages import SEEN_BROKEN, SEEN_FAILURE, SEEN_NOTHING, SEEN_SUCCESS, SEEN_UNSENT, WRITE
from loadtest.outcome import ABANDONED, WORDS
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import Connection, Request, serving
from tests.loadtest.client.runs import at, calling, planned

WHOLE = ["kept", "kept", "kept", "late", "chunked", "interim", "extra", "until close", "closed after", "reset after"]
BROKEN = ["silent", "closed", "reset", "half closed", "cut", "endless head", "interim only", "no http", "upgrade"]
PIECES = {
    "cut": b"HTTP/1.1 200 OK\r\ncontent-le",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
    "interim only": b"HTTP/1.1 103 Early\r\n\r\n" * 5_000,
    "no http": b"220 smtp ready\r\n",
    "upgrade": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
}


class Misbehaving:
    """Answers even numbers 200 and odd ones 503, if it answers. `arrived` and `answered` are numbers of requests."""

    def __init__(self, rng: Random) -> None:
        self.arrived: Counter[int] = Counter()
        self.answered: set[int] = set()
        self._rng = rng

    async def serve(self, connection: Connection) -> None:
        goes_on = True
        while goes_on and self._rng.random() > 0.02 and (request := await connection.head()):
            number = int(request["x-request-id"].rpartition("-")[2])
            self.arrived[number] += 1
            if self._rng.random() > 0.2:  # else answered before it was read, and then cut off
                await connection.body(request)
            else:
                goes_on = False
            if (kind := self._rng.choice(WHOLE + BROKEN)) in WHOLE:
                self.answered.add(number)
                goes_on &= await self._answer(connection, request, kind, 503 if number % 2 else 200)
            else:
                await self._break(connection, kind)
                return

    async def _answer(self, connection: Connection, request: Request, kind: str, status: int) -> bool:
        line = b"HTTP/1.1 %d Some Reason\r\n" % status
        fields, body = b"content-length: 300\r\n\r\n", bytes(300)
        match kind:
            case "late":
                await asyncio.sleep(self._rng.random() * 0.2)
            case "chunked":
                fields, body = b"transfer-encoding: chunked\r\n\r\n", b"3\r\nabc\r\n0\r\nx: trailer\r\n\r\n"
            case "interim":
                await connection.send(b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n")
            case "until close":
                fields = b"\r\n"
        reply = line + fields + (b"" if request.method == "HEAD" else body)
        await connection.send(reply + b"HTTP/1.1 2" if kind == "extra" else reply)
        if kind == "reset after":
            connection.reset()
        return kind not in {"extra", "until close", "closed after", "reset after"}

    async def _break(self, connection: Connection, kind: str) -> None:
        if kind in PIECES:
            await connection.send(PIECES[kind])
        elif kind == "reset":
            connection.reset()
        elif kind == "half closed":
            connection.half_close()
            await connection.until_gone()
        elif kind == "silent":
            await connection.until_gone()


def drawn(rng: Random) -> dict[str, Any]:
    kinds = [{}, {"to": "other"}, {"method": "HEAD"}, {"method": "POST", "body": "2MiB"}, {"read": "64KiB"}]
    load = {
        "requests": [kinds[0], *rng.sample(kinds[1:], 3)],
        "connections": rng.choice([1, 4, 100]),
        "timeout": rng.choice(["50ms", "300ms"]),
        "keep_alive": rng.random() < 0.8,
        "success": ["200"],
    }
    if rng.random() < 0.3:
        return load | {"mode": "closed", "phases": [{"for": "300ms", "callers": callers} for callers in (3, 30)]}
    phases = [{"for": "200ms", "rate": "400/s"}, {"for": "300ms", "from": "1500/s", "to": "1/s"}]
    return load | {"arrivals": rng.choice(["uniform", "poisson"]), "phases": phases}


@pytest.mark.parametrize("seed", range(6))
@on_uvloop
async def test_requests_are_conserved(seed: int):
    rng = Random(seed)
    server = Misbehaving(rng)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        nobody = sock.getsockname()
    async with serving(server.serve) as origin, serving(server.serve) as other:
        plan = planned(drawn(rng), {"echo": [at(origin)], "other": [at(other)] * 3})
        async with calling(plan) as (caller, seen):
            loop = asyncio.get_running_loop()
            loop.call_later(0.2, caller.retarget, "other", [nobody, (other.host, other.port)])
            if is_stopped := rng.random() < 0.3:
                loop.call_later(0.4, caller.stop)
        for pool in caller._pools.values():
            assert not pool.open
            assert not any((pool._idle, pool._under_way, pool._dialing, pool.waiting))
    found = [outcome & ~WRITE for outcome in seen.bytes_seen]
    by_byte = Counter(found)
    # One outcome each, and the same in both ledgers.
    assert sum(seen.counts.values()) == sum(seen.total("all").values()) == seen.sent
    assert is_stopped or plan.shifts or seen.sent == sum(1 for _ in plan.starts())
    assert by_byte[SEEN_SUCCESS] == seen.counts.get("200", 0) == sum(seen.total("ok").values())
    assert by_byte[SEEN_FAILURE] == seen.counts.get("503", 0)
    assert seen.counts.keys() <= {"200", "503", *WORDS}
    assert by_byte[SEEN_NOTHING] <= seen.counts.get(ABANDONED, 0)
    assert is_stopped or ABANDONED not in seen.counts
    assert by_byte[SEEN_BROKEN] >= sum(seen.counts.get(word, 0) for word in ("timeout", "closed", "truncated"))
    # And the one that it had: nobody else's answer, and nothing arrived of what was not sent, or twice.
    for number, outcome in enumerate(found):
        if outcome in {SEEN_SUCCESS, SEEN_FAILURE}:
            assert number in server.answered
            assert outcome == (SEEN_FAILURE if number % 2 else SEEN_SUCCESS)
        assert outcome != SEEN_UNSENT or number not in server.arrived
    assert set(server.arrived.values()) == {1}
