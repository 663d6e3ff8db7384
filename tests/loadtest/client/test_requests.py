"""What is on the wire."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from loadtest.client.plan import weighted
from loadtest.messages import SEEN_SUCCESS, WRITE
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import Connection, answering, ok, serving
from tests.loadtest.client.runs import RUN, at, calling, head, open_loop, planned, run


@on_uvloop
async def test_a_request_says_its_host_and_its_id_and_nothing_that_was_not_asked_for():
    heads: list[bytes] = []

    async def script(connection: Connection) -> None:
        while data := await head(connection):
            heads.append(data)
            await connection.send(ok())

    async with serving(script) as origin:
        await run(open_loop(1, requests=[{"path": "/a?b=%20", "headers": {"X-Tenant": "Blue"}}]), at(origin))
    assert heads == [b"GET /a?b=%20 HTTP/1.1\r\nhost: echo.test\r\nX-Tenant: Blue\r\nx-request-id: run-0-0\r\n\r\n"]


@on_uvloop
async def test_a_host_of_its_own_takes_the_place_of_the_targets():
    async with serving(answering(ok())) as origin:
        await run(open_loop(1, requests=[{"headers": {"Host": "reviews.shop"}}]), at(origin))
        assert origin.requests[0].all("host") == ["reviews.shop"]


@pytest.mark.parametrize(
    ("request_", "length", "body"),
    [
        ({"method": "POST"}, ["0"], b""),
        ({"method": "PUT", "text": ""}, ["0"], b""),
        ({"method": "GET"}, [], b""),
        ({"method": "DELETE"}, [], b""),
        ({"method": "DELETE", "body": "0B"}, ["0"], b""),
        ({"method": "POST", "text": "größe"}, ["7"], "größe".encode()),
        ({"method": "POST", "body": "5B"}, ["5"], bytes(5)),
        ({"method": "PATCH", "body": "1MiB"}, [str(1 << 20)], bytes(1 << 20)),
    ],
)
@on_uvloop
async def test_a_body_is_sent_with_its_length(request_: dict[str, str], length: list[str], body: bytes):
    async with serving(answering(ok())) as origin:
        found = await run(open_loop(2, connections=1, requests=[request_]), at(origin))
        for seen in origin.requests:
            assert seen.all("content-length") == length
            assert seen.body == body
        assert origin.connections == 1
    assert found.counts == {"200": 2}


@on_uvloop
async def test_a_percent_sign_is_a_percent_sign():
    async with serving(answering(ok())) as origin:
        await run(open_loop(1, requests=[{"path": "/%d%s", "headers": {"x": "100 %"}}]), at(origin))
        assert (origin.requests[0].target, origin.requests[0]["x"]) == ("/%d%s", "100 %")


@on_uvloop
async def test_ids_are_unique_and_complete():
    async with serving(answering(ok())) as origin:
        found = await run(open_loop(300, rate=1500), at(origin))
        ids = [request["x-request-id"] for request in origin.requests]
        assert sorted(ids) == sorted(f"{RUN}-0-{n}" for n in range(300))
    assert found.bytes_seen == [SEEN_SUCCESS] * 300
    assert set(found.ledger.values()) == {SEEN_SUCCESS, 0}


@on_uvloop
async def test_two_workers_send_the_whole_schedule_between_them():
    async with serving(answering(ok())) as origin:
        load = open_loop(101, rate=500, connections=3)
        targets = {"echo": [at(origin)]}
        first, second = (planned(load, targets, worker=worker, workers=2) for worker in (0, 1))
        assert (first.connections, second.connections) == (2, 1)
        async with calling(first) as (_, one), calling(second) as (_, other):
            pass
        assert (one.sent, other.sent) == (51, 50)
        assert {request["x-request-id"] for request in origin.requests} == (
            {f"{RUN}-0-{n}" for n in range(51)} | {f"{RUN}-1-{n}" for n in range(50)}
        )


@on_uvloop
async def test_kinds_are_sent_to_their_origins_and_writes_are_marked():
    async with serving(answering(ok())) as first, serving(answering(ok())) as second:
        load = open_loop(100, rate=1000, requests=[{}, {"method": "POST", "to": "second", "weight": 3.0}])
        found = await run(load, {"first": [at(first)], "second": [at(second)]})
        assert {request.method for request in first.requests} == {"GET"}
        assert {request.method for request in second.requests} == {"POST"}
        assert {request["host"] for request in second.requests} == {"second.test"}
        reads, writes = len(first.requests), len(second.requests)
    assert reads + writes == 100
    assert Counter(found.bytes_seen) == {SEEN_SUCCESS: reads, SEEN_SUCCESS + WRITE: writes}
    assert writes > reads


def test_kinds_are_drawn_by_their_weights():
    n = 40_000
    choose = weighted("abc", [1.0, 2.0, 5.0], Random(4))  # type: ignore[arg-type]
    drawn = Counter(choose() for _ in range(n))
    for kind, part in zip("abc", (1 / 8, 2 / 8, 5 / 8), strict=True):
        assert abs(drawn[kind] - n * part) < 4 * (n * part * (1 - part)) ** 0.5  # type: ignore[index]


def test_the_same_seed_draws_the_same_kinds_and_starts():
    def drawn(seed: int, worker: int = 0) -> tuple[list[str], list[float]]:
        load = {"arrivals": "poisson", "phases": [{"for": "1s", "rate": "100/s"}]}
        load |= {"requests": [{"path": "/a"}, {"path": "/b"}]}
        made = planned(load, {"echo": ["127.0.0.1:1"]}, seed=seed, worker=worker, workers=2)
        choose = made.chooser()
        return [choose().prefix[:6].decode() for _ in range(50)], [due_s for due_s, _ in made.starts()]

    assert drawn(1) == drawn(1)
    for one, other in zip(drawn(1), drawn(2), strict=True):
        assert one != other
    for one, other in zip(drawn(1, worker=0), drawn(1, worker=1), strict=True):
        assert one != other


@on_uvloop
async def test_without_keep_alive_each_request_has_a_connection_of_its_own():
    async with serving(answering(ok())) as origin:
        found = await run(open_loop(20, rate=200, keep_alive=False, connections=2), at(origin))
        assert sorted(request.connection for request in origin.requests) == list(range(20))
        assert {request["connection"] for request in origin.requests} == {"close"}
    assert found.counts == {"200": 20}
    assert found.most_open <= 2
