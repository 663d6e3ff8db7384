"""No request that an application may act on is executed twice by us, whatever its connections do."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest

from meshproxy.wire import resources as wire
from tests.fakes.client import Reply, connected, request
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import Connection, Script, ok, serving, status
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service

OUTCOMES = {
    "answer": 60,
    "answer, then close": 8,
    "answer, then reset": 8,
    "close unread": 5,
    "reset unread": 5,
    "act, then close": 5,
    "act, then reset": 5,
    "act, then half an answer": 4,
    "act, then hang": 3,
    "busy": 6,
}
CALLS = 400
CLIENTS = 8


def failing(rng: Random, executed: list[str]) -> Script:
    """Draws for each request what becomes of it; notes whom it has acted for."""

    async def script(connection: Connection) -> None:
        while (one := await connection.head()) is not None:
            (outcome,) = rng.choices(list(OUTCOMES), list(OUTCOMES.values()))
            if "unread" not in outcome:
                await connection.body(one)
                executed.append(one["x-call"])
            if outcome.startswith("answer"):
                await connection.send(ok(one["x-call"].encode()))
            elif outcome == "busy":
                await connection.send(status(503))
            elif outcome.endswith("half an answer"):
                await connection.send(b"HTTP/1.1 200 OK\r\nconte")
            elif outcome.endswith("hang"):
                await connection.until_gone()
            if outcome.endswith("reset") or outcome.startswith("reset"):
                connection.reset()
                return
            if outcome not in ("answer", "busy"):
                return

    return script


async def _calls(sidecar: Sidecar, rng: Random, numbers: list[int], replies: dict[str, Reply]) -> None:
    """One client: a request after the other, on a connection for as long as that lasts."""
    while numbers:
        async with connected(sidecar.address) as client:
            while numbers:
                number = numbers.pop()
                method = rng.choice(["POST", "POST", "PATCH", "GET", "PUT"])
                name = f"{method}-{number}"
                body = b"x" * rng.choice([0, 10, 5_000, 200_000])
                head = request(method, "/", "echo", f"x-call: {name}", f"content-length: {len(body)}")
                await client.send(head + body)
                replies[name] = await client.response(method)
                if "connection" in replies[name]:
                    break


@on_uvloop
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_post_is_executed_twice_under_resets_closes_and_hangs(seed: int) -> None:
    rng = Random(seed)
    executed: list[str] = []
    replies: dict[str, Reply] = {}
    backend = wire.Backend(retry_budget=wire.RetryBudget(percent=100, min_per_s=1000))
    retry = wire.Retry(codes=[500, 502, 503, 504], attempts=3, backoff_s=0.001)
    timeouts = wire.Timeouts(request_s=5, backend_request_s=0.1)
    async with serving(failing(rng, executed)) as one, serving(failing(rng, executed)) as two:
        entries = service("echo", [one, two], backend=backend, retry=retry, timeouts=timeouts)
        async with running(entries) as sidecar:
            numbers = list(range(CALLS))
            await asyncio.gather(*[_calls(sidecar, rng, numbers, replies) for _ in range(CLIENTS)])
            reasons = dict(sidecar.slot.retries)
    assert len(replies) == CALLS
    counts = Counter(executed)
    for name, reply in replies.items():
        if name.startswith("P") and not name.startswith("PUT"):
            assert counts[name] <= 1, (name, reply)
        if reply.status == 200:
            assert (reply.body.decode(), reply.is_complete) == (name, True)
            assert counts[name] >= 1
        else:
            assert reply.status in (502, 503, 504)
    # The run has shown what it is meant to: repetitions of every kind, and most callers served.
    assert {"reset", "reused", "status"} <= set(reasons)
    assert sum(reply.status == 200 for reply in replies.values()) > CALLS * 0.7
    assert any(counts[name] > 1 for name in counts if name.startswith(("GET", "PUT")))
