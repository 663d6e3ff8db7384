"""Capacity with real clients: slots, the queue, what is past it, and who goes away."""

from __future__ import annotations

import selectors
import time
from contextlib import ExitStack

from tests.loadtest.origin.running import PATIENCE_S, RUN, Caller, Origins, eventually, serving, text


def callers(origins: Origins, stack: ExitStack, count: int) -> list[Caller]:
    return [stack.enter_context(origins.connect()) for _ in range(count)]


def test_so_many_at_once_so_many_wait_and_the_rest_is_refused_at_once() -> None:
    origin = {"concurrency": 2, "queue": 3, "service_time": "200ms"}
    with serving(text(None, echo=origin)) as origins, ExitStack() as stack:
        asking = callers(origins, stack, 8)
        ready = stack.enter_context(selectors.DefaultSelector())
        for number, caller in enumerate(asking[:5]):
            ready.register(caller.sock, selectors.EVENT_READ, number)
        for number, caller in enumerate(asking):
            caller.ask(number)
            # One after the other, so that it is known who comes first.
            eventually(lambda known=number: f"{RUN}-0-{known}" in origins.counts())
        assert origins.working() == 5
        answers = [caller.answer()[0] for caller in asking[5:]]
        assert [answer.status for answer in answers] == [503] * 3
        assert origins.counts() == {}
        done: dict[int, float] = {}
        while len(done) < 5:
            found = ready.select(PATIENCE_S)
            assert found
            for key, _ in found:
                ready.unregister(key.fileobj)
                assert asking[key.data].answer()[0].status == 200
                done[key.data] = origins.run_s()
        assert list(done) == list(range(5))
        assert done[2] - done[0] > 0.15
        assert done[4] - done[2] > 0.15
        assert origins.counts() == {f"{RUN}-0-{number}": (0, 1) for number in range(5)}
        total = [0, 0, 0]
        for cell in origins.cells():
            total[0] += cell.received
            total[1] += cell.answers.get("200", 0)
            total[2] += cell.answers.get("503", 0)
        assert total == [8, 5, 3]


def test_a_service_time_is_at_least_kept() -> None:
    with serving(text(None, echo={"service_time": "2ms"})) as origins, origins.connect() as caller:
        for _ in range(50):
            began = time.monotonic()
            assert caller.get() == 200
            assert time.monotonic() - began >= 0.002


def test_who_goes_away_while_waiting_makes_room_and_is_not_executed() -> None:
    origin = {"concurrency": 1, "queue": 1, "service_time": "300ms"}
    with serving(text(None, echo=origin)) as origins, ExitStack() as stack:
        first, second, third = callers(origins, stack, 3)
        first.ask(1)
        eventually(lambda: origins.working() == 1)
        second.ask(2)
        eventually(lambda: origins.working() == 2)
        second.sock.close()
        eventually(lambda: origins.working() == 1)
        third.ask(3)
        assert first.answer()[0].status == 200
        assert third.answer()[0].status == 200
        assert origins.counts() == {f"{RUN}-0-1": (1, 1), f"{RUN}-0-2": (1, 0), f"{RUN}-0-3": (1, 1)}


def test_who_goes_away_in_work_is_executed_all_the_same_and_keeps_the_slot_until_then() -> None:
    with serving(text(None, echo={"concurrency": 1, "service_time": "200ms"})) as origins:
        with origins.connect() as caller:
            caller.ask(1)
            eventually(lambda: origins.working() == 1)
        with origins.connect() as other:
            assert other.get(2) == 503
        eventually(lambda: origins.working() == 0)
        with origins.connect() as other:
            assert other.get(3) == 200
        assert origins.counts() == {f"{RUN}-0-1": (1, 1), f"{RUN}-0-2": (1, 0), f"{RUN}-0-3": (1, 1)}


def test_a_fault_that_a_request_never_meets_is_not_counted() -> None:
    slow = {"concurrency": 1, "queue": 1, "service_time": "300ms"}
    with serving(text([{"truncate": True}], echo=slow)) as origins, ExitStack() as stack:
        first, second, third = callers(origins, stack, 3)
        first.ask(1)
        eventually(lambda: origins.working() == 1)
        second.ask(2)
        eventually(lambda: origins.working() == 2)
        assert third.get(3) == 503
        second.sock.close()
        eventually(lambda: origins.working() == 1)
        assert all(cell.faults == {} for cell in origins.cells())
        assert first.read().startswith(b"HTTP/1.1 200")
        eventually(lambda: origins.working() == 0)
        assert [cell.faults for cell in origins.cells()] == [{"truncate": 1}]


def test_a_fault_after_execution_is_not_counted_when_a_crash_comes_first() -> None:
    faults = [{"at": "300ms", "for": "1h", "refuse": True}, {"reset": "after"}]
    with serving(text(faults, echo={"service_time": "10s"})) as origins, origins.connect() as caller:
        caller.ask(1)
        eventually(lambda: origins.working() == 1)
        eventually(lambda: origins.working() == 0)
        cells = origins.cells()
        assert sum(cell.received for cell in cells) == 1
        assert all(cell.faults == {} for cell in cells)


def test_a_pipelined_request_waits_for_its_turn_and_takes_no_slot_meanwhile() -> None:
    with serving(text(None, echo={"service_time": "100ms"})) as origins, origins.connect() as caller:
        caller.ask(1)
        caller.ask(2, "GET", "connection: close")
        eventually(lambda: set(origins.counts()) >= {f"{RUN}-0-2"})
        assert origins.working() == 1
        assert caller.read().count(b"200 OK") == 2


def test_each_instance_has_its_own_slots() -> None:
    origin = {"concurrency": 1, "instances": 2, "service_time": "200ms"}
    with (
        serving(text(None, echo=origin)) as origins,
        origins.connect("echo", 1) as one,
        origins.connect("echo", 2) as two,
    ):
        one.ask(1)
        two.ask(2)
        assert (one.answer()[0].status, two.answer()[0].status) == (200, 200)


def test_answers_and_executions_are_told_with_the_bin_of_arrival() -> None:
    with serving(text(None, echo={"service_time": "250ms"})) as origins, origins.connect() as caller:
        eventually(lambda: origins.run_s() > 0.11)
        before = int(origins.run_s() / 0.1)
        caller.ask(1)
        eventually(lambda: f"{RUN}-0-1" in origins.counts())
        after = int(origins.run_s() / 0.1)
        (arrived,) = origins.cells()
        assert (arrived.received, arrived.executed, arrived.answers) == (1, 0, {})
        assert before <= arrived.bin <= after
        assert caller.answer()[0].status == 200
        (done,) = origins.cells()
        assert (done.bin, done.received, done.executed, done.answers) == (arrived.bin, 0, 1, {"200": 1})
