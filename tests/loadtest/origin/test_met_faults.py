"""Every fault that a request can meet, seen by clients that are not ours."""

from __future__ import annotations

import gc
import http.client
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from loadtest.origin.http1 import Connection
from loadtest.origin.instance import PIECES
from tests.loadtest.origin.running import RUN, Caller, Origins, eventually, serving, text

LONG_S = 0.4

FAULTS: dict[str, dict[str, Any]] = {
    "status": {"status": 503},
    "nocontent": {"status": 204},
    "odd": {"status": 599},
    "some": {"status": 500, "percent": 30},
    "delay": {"delay": "400ms"},
    "hang": {"hang": True},
    "slow": {"slow_body": "400ms"},
    "truncate": {"truncate": True},
    "truncate-empty": {"truncate": True},
    "reset-before": {"reset": "before"},
    "reset-after": {"reset": "after"},
    "close-before": {"close": "before"},
    "close-after": {"close": "after"},
    "idle": {"idle_close": "300ms"},
    "idle-now": {"idle_close": "0s"},
    "reused": {"reset": "before", "reused": True},
}
BODIES = {"slow": "1KiB", "truncate-empty": "0B"}


@pytest.fixture(scope="module")
def everyone() -> Iterator[Origins]:
    faults = [{"origin": name, **fault} for name, fault in FAULTS.items()]
    origins = {name: {"body": BODIES.get(name, "64B")} for name in FAULTS}
    with serving(text(faults, **origins)) as running:
        yield running


@pytest.fixture
def origins(everyone: Origins) -> Origins:
    everyone.take(rest=True)
    everyone.cells()
    return everyone


def told(origins: Origins) -> tuple[int, int, dict[str, int], dict[str, int]]:
    """Received, executed, answers and faults of all bins and instances."""
    answers: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    cells = origins.cells()
    for cell in cells:
        answers.update(cell.answers)
        faults.update(cell.faults)
    return sum(cell.received for cell in cells), sum(cell.executed for cell in cells), dict(answers), dict(faults)


def one(executed: int) -> dict[str, tuple[int, int]]:
    return {f"{RUN}-0-1": (1, executed)}


@pytest.mark.parametrize(("name", "status"), [("status", 503), ("nocontent", 204), ("odd", 599)])
def test_status_is_answered_and_nothing_executed(origins: Origins, name: str, status: int) -> None:
    with origins.connect(name) as caller:
        assert caller.get(1) == status
        assert origins.counts() == one(0)
        assert caller.get(2) == status
    assert told(origins) == (2, 0, {str(status): 2}, {"status": 2})


def test_a_percentage_is_met_by_that_share_and_by_the_same_requests_every_time(origins: Origins) -> None:
    def met(running: Origins) -> list[int]:
        with running.connect("some") as caller:
            return [caller.get(number) for number in range(400)]

    statuses = met(origins)
    assert set(statuses) == {200, 500}
    assert 80 < statuses.count(500) < 160  # 30 % of 400, and more than four deviations each way; the seed is fixed
    counts = origins.counts()
    assert [counts[f"{RUN}-0-{number}"] for number in range(400)] == [(1, int(status == 200)) for status in statuses]
    with serving(text([{"origin": "some", **FAULTS["some"]}], some={})) as again:
        assert met(again) == statuses


def test_delay_is_execution_at_once_and_an_answer_later(origins: Origins) -> None:
    with origins.connect("delay") as caller:
        began = time.monotonic()
        caller.ask(1)
        eventually(lambda: origins.counts() == one(1))
        assert origins.working() == 0
        assert caller.is_silent(0.001)
        assert caller.answer()[0].status == 200
        assert time.monotonic() - began >= LONG_S
    assert told(origins) == (1, 1, {"200": 1}, {"delay": 1})


def test_hang_is_an_open_connection_without_an_answer(origins: Origins) -> None:
    with origins.connect("hang") as caller:
        caller.ask(1)
        caller.ask(2)
        eventually(lambda: len(origins.cells()) > 0)
        assert caller.is_silent(0.3)
        assert origins.counts() == {f"{RUN}-0-1": (1, 0), f"{RUN}-0-2": (1, 0)}
        assert origins.working() == 0


def test_a_slow_body_comes_in_pieces_over_its_time(origins: Origins) -> None:
    with origins.connect("slow") as caller:
        began = time.monotonic()
        caller.ask(1)
        first = caller.sock.recv(65_536)
        assert b"content-length: 1024" in first
        pieces = [first.partition(b"\r\n\r\n")[2]]
        while sum(map(len, pieces)) < 1024:
            piece = caller.sock.recv(65_536)
            assert piece
            pieces.append(piece)
        assert time.monotonic() - began >= LONG_S
        assert 2 <= len([piece for piece in pieces if piece]) <= PIECES
        assert caller.is_silent(0.02)
        assert origins.counts() == one(1)
        caller.ask(2, "HEAD")
        assert caller.answer("HEAD")[0].status == 200


def test_a_truncated_answer_lacks_half_of_its_body(origins: Origins) -> None:
    with origins.connect("truncate") as caller:
        caller.ask(1)
        response = http.client.HTTPResponse(caller.sock)
        response.begin()
        with pytest.raises(http.client.IncompleteRead) as short:
            response.read()
        assert (len(short.value.partial), short.value.expected) == (32, 32)
        assert caller.read() == b""
    assert origins.counts() == one(1)
    assert told(origins) == (1, 1, {"200": 1}, {"truncate": 1})


@pytest.mark.parametrize(("name", "method"), [("truncate-empty", "GET"), ("truncate", "HEAD")])
def test_without_a_body_it_is_the_head_that_is_truncated(origins: Origins, name: str, method: str) -> None:
    with origins.connect(name) as caller:
        caller.ask(1, method)
        data = caller.read()
        assert data.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\n\r\n" not in data
    assert origins.counts() == one(1)


@pytest.mark.parametrize("when", ["before", "after"])
def test_reset_is_a_reset_and_close_is_a_fin(origins: Origins, when: str) -> None:
    with origins.connect(f"reset-{when}") as caller:
        caller.ask(1)
        with pytest.raises(ConnectionResetError):
            caller.read()
    assert origins.counts() == one(int(when == "after"))
    with origins.connect(f"close-{when}") as caller:
        caller.ask(1, "POST", "content-length: 3")
        caller.send(b"abc")
        assert caller.read() == b""
    assert origins.counts() == one(int(when == "after"))
    assert told(origins) == (2, 2 * int(when == "after"), {}, {"reset": 1, "close": 1})


def test_an_idle_connection_is_closed_without_a_word(origins: Origins) -> None:
    with origins.connect("idle") as caller:
        caller.ask(1)
        response, _ = caller.answer()
        answered = time.monotonic()
        assert response.headers["connection"] is None
        assert caller.read() == b""
        assert time.monotonic() - answered > 0.29
    assert told(origins) == (1, 1, {"200": 1}, {"idle_close": 1})


def test_idle_begins_anew_with_each_answer(origins: Origins) -> None:
    with origins.connect("idle") as caller:
        assert caller.get() == 200
        assert caller.is_silent(0.15)
        assert caller.get() == 200
        answered = time.monotonic()
        assert caller.read() == b""
        assert time.monotonic() - answered > 0.29


def test_a_connection_that_is_used_again_in_time_is_not_idle(origins: Origins) -> None:
    with origins.connect("idle") as caller:
        began = time.monotonic()
        while time.monotonic() < began + 0.4:
            assert caller.get() == 200
            assert caller.is_silent(0.02)
        caller.send(b"GET / HTTP/1.1\r\n")  # a request that has begun to come
        assert caller.is_silent(0.35)
        caller.send(b"host: echo\r\n\r\n")
        assert caller.answer()[0].status == 200
        assert caller.read() == b""


def test_idle_for_no_time_is_closed_right_after_the_answer(origins: Origins) -> None:
    with origins.connect("idle-now") as caller:
        caller.ask(1)
        response, body = caller.answer()
        assert (response.headers["connection"], len(body)) == (None, 64)
        assert caller.read() == b""
    assert origins.counts() == one(1)


def test_nothing_remembers_a_connection_that_ended_with_its_answer() -> None:
    def connections() -> list[Connection]:
        return [each for each in gc.get_objects() if isinstance(each, Connection)]

    with serving(text([{"idle_close": "1h"}])) as origins:
        with origins.connect() as caller:
            assert caller.get() == 200
            assert connections()
            caller.ask(1, "GET", "connection: close")
            assert caller.answer()[0].status == 200
            assert caller.read() == b""
        known = {id(each) for each in connections()}
        for _ in range(5):
            with origins.connect() as caller:
                caller.ask(1, "GET", "connection: close")
                assert caller.read().startswith(b"HTTP/1.1 200")
        eventually(lambda: {id(each) for each in connections()} <= known)


def test_reused_strikes_from_the_second_request_on(origins: Origins) -> None:
    for _ in range(2):
        with origins.connect("reused") as caller:
            assert caller.get(1) == 200
            caller.ask(2)
            with pytest.raises(ConnectionResetError):
                caller.read()
    assert origins.counts() == {f"{RUN}-0-1": (2, 2), f"{RUN}-0-2": (2, 0)}


def test_windows_repeat() -> None:
    flapping = {"at": "200ms", "for": "150ms", "every": "300ms", "until": "650ms", "status": 503}
    with serving(text([flapping])) as origins, origins.connect() as caller:
        seen = []
        while origins.run_s() < 0.75:
            before = origins.run_s()
            status = caller.get()
            seen.append((before, origins.run_s(), status))
        sure = {
            (begin, end): {status for before, after, status in seen if begin <= before and after < end}
            for begin, end in ((0, 0.2), (0.2, 0.35), (0.35, 0.5), (0.5, 0.65), (0.65, 0.75))
        }
    assert all(statuses <= {503 if begin in {0.2, 0.5} else 200} for (begin, _), statuses in sure.items())
    assert {status for statuses in sure.values() for status in statuses} == {200, 503}


def test_instances_have_their_own_faults() -> None:
    faults = [
        {"origin": "echo", "instances": [1], "status": 500},
        {"origin": "echo", "instances": [1, 2], "status": 502},
        {"status": 504, "origin": "other"},
    ]
    with serving(text(faults, echo={"instances": 3}, other={})) as origins:
        met = {}
        for name, number in (("echo", 1), ("echo", 2), ("echo", 3), ("other", 1)):
            with origins.connect(name, number) as caller:
                met[name, number] = caller.get()
        assert met == {("echo", 1): 500, ("echo", 2): 502, ("echo", 3): 200, ("other", 1): 504}
        cells = {(cell.origin, cell.instance): (cell.answers, cell.faults) for cell in origins.cells()}
    assert cells == {
        ("echo", 1): ({"500": 1}, {"status": 1}),
        ("echo", 2): ({"502": 1}, {"status": 1}),
        ("echo", 3): ({"200": 1}, {}),
        ("other", 1): ({"504": 1}, {"status": 1}),
    }


def test_a_client_that_is_gone_is_executed_for_and_not_answered() -> None:
    with serving(text([{"delay": "50ms"}])) as origins:
        with origins.connect() as caller:
            caller.ask(1)
            eventually(lambda: origins.counts() == one(1))
        with origins.connect() as other:
            assert other.get(2) == 200  # its delay ends later
        assert told(origins) == (2, 2, {"200": 1}, {"delay": 2})


def test_a_pipelined_request_is_handled_in_its_turn() -> None:
    faults = [{"reused": True, "close": "before"}, {"delay": "50ms"}]
    with serving(text(faults)) as origins, Caller(origins.connect().sock) as caller:
        caller.ask(1)
        caller.ask(2)
        data = caller.read()
        assert data.count(b"HTTP/1.1 200") == 1
        assert origins.counts() == {f"{RUN}-0-1": (1, 1), f"{RUN}-0-2": (1, 0)}
