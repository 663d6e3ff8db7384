"""Instances that come and go, and executions that are told exactly once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from loadtest.block import APP_PORT
from loadtest.messages import CHUNK, Executions
from loadtest.origin.fleet import FleetError
from loadtest.origin.site import SiteError
from tests.loadtest.origin.running import RUN, Origins, eventually, serving, text


def test_retiring_answers_what_is_in_work_and_ends_what_is_idle() -> None:
    with serving(text(None, echo={"service_time": "300ms"})) as origins:
        with origins.connect() as idle, origins.connect() as busy, origins.connect() as sending:
            busy.ask(1)
            sending.ask(2, "POST", "content-length: 3")
            eventually(lambda: origins.working() == 1)
            origins.retire("echo", 1, 5)
            assert idle.read() == b""
            with pytest.raises(ConnectionRefusedError):
                origins.connect()
            sending.send(b"abc")
            for caller in (busy, sending):
                response, _ = caller.answer()
                assert (response.status, response.headers["connection"]) == (200, "close")
                assert caller.read() == b""
        assert origins.counts() == {f"{RUN}-0-1": (1, 1), f"{RUN}-0-2": (1, 1)}


def test_a_body_on_its_way_when_its_instance_retires_is_finished_and_then_the_connection_ends() -> None:
    with serving(text([{"slow_body": "300ms"}], echo={"body": "1KiB"})) as origins, origins.connect() as caller:
        caller.ask(1)
        found = caller.sock.recv(65_536)
        assert found
        origins.retire("echo", 1, 5)
        found += caller.read()
        assert len(found.partition(b"\r\n\r\n")[2]) == 1024
        assert origins.run_s() < 5


def test_what_is_in_work_when_the_grace_ends_is_reset_and_lost() -> None:
    with serving(text(None, echo={"service_time": "400ms"})) as origins:
        with origins.connect() as caller:
            caller.ask(1)
            eventually(lambda: origins.working() == 1)
            origins.retire("echo", 1, 0.05)
            with pytest.raises(ConnectionResetError):
                caller.read()
        assert origins.working() == 0
        eventually(lambda: origins.run_s() > 0.5)
        assert origins.counts() == {f"{RUN}-0-1": (1, 0)}


def test_a_retired_instance_does_not_listen_again_after_an_outage() -> None:
    with serving(text([{"at": "100ms", "for": "100ms", "refuse": True}])) as origins:
        origins.retire("echo", 1, 0)
        eventually(lambda: origins.run_s() > 0.25)
        with pytest.raises(ConnectionRefusedError):
            origins.connect()


def test_an_instance_that_is_opened_later_has_its_number_and_its_faults() -> None:
    faults = [{"instances": [1], "status": 500}, {"status": 418}]
    with serving(text(faults)) as origins:
        origins.open("echo", 2)
        with origins.connect("echo", 2) as caller:
            caller.ask(1)
            response, _ = caller.answer()
            assert (response.status, response.headers["x-origin"]) == (418, "echo-2")
        (cell,) = origins.cells()
        assert (cell.origin, cell.instance) == ("echo", 2)


def test_an_instance_that_is_opened_into_an_outage_is_out() -> None:
    with serving(text([{"at": "0s", "for": "300ms", "refuse": True}])) as origins:
        origins.open("echo", 2)
        assert origins.run_s() < 0.3
        with pytest.raises(ConnectionRefusedError):
            origins.connect("echo", 2)

        def connects() -> bool:
            try:
                with origins.connect("echo", 2):
                    return True
            except ConnectionRefusedError:
                return False

        eventually(connects)
        assert origins.run_s() >= 0.3


def test_orders_that_make_no_sense_say_so() -> None:
    with serving() as origins:
        with pytest.raises(FleetError, match="there is no origin 'other'; allowed: echo"):
            origins.open("other", 1)
        with pytest.raises(FleetError, match="already"):
            origins.open("echo", 1)
        with pytest.raises(FleetError, match="there is no instance 7 of echo"):
            origins.retire("echo", 7, 0)


def test_an_address_that_is_taken_is_named() -> None:
    with serving(text(None, one={}, two={})) as origins:
        taken = origins.addresses["one"][0]
        origins.block.address = lambda: taken  # type: ignore[method-assign]
        with pytest.raises(SiteError, match=f"cannot listen on {taken}:{APP_PORT}: something else does"):
            origins.open("two", 2)


def test_every_execution_is_told_exactly_once_while_it_goes_on() -> None:
    each, workers = 1500, 3

    def call(origins: Origins, worker: int) -> None:
        with origins.connect("echo", 1 + worker % 2) as caller:
            for begin in range(CHUNK - each // 2, CHUNK + each // 2, 50):
                numbers = range(begin, begin + 50)
                for number in numbers:
                    body = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n" if number % 2 else b"GET / HTTP/1.1\r\n"
                    caller.send(b"%bx-request-id: %b-%d-%d\r\n\r\n" % (body, RUN.encode(), worker, number))
                    if number % 2:
                        caller.send(b"3\r\nabc\r\n0\r\n\r\n")
                left = len(numbers)
                while left:
                    piece = caller.sock.recv(65_536)
                    assert piece
                    left -= piece.count(b"HTTP/1.1 200")

    told: list[Executions] = []
    with serving(text(None, echo={"instances": 2})) as origins, ThreadPoolExecutor(workers) as pool:
        calls = [pool.submit(call, origins, worker) for worker in range(workers)]
        while not all(done.done() for done in calls):
            told += origins.take((0, 0), (1, 1))
        for done in calls:
            done.result()
        told += origins.take(rest=True)
        assert origins.take(rest=True) == []
        assert sum(cell.executed for cell in origins.cells()) == each * workers
    sums: dict[tuple[int, int], list[int]] = {}
    for part in told:
        for at in range(CHUNK):
            if part.received[at] or part.executed[at]:
                both = sums.setdefault((part.worker, part.index * CHUNK + at), [0, 0])
                both[0] += part.received[at]
                both[1] += part.executed[at]
    wanted = range(CHUNK - each // 2, CHUNK + each // 2)
    assert sums == {(worker, number): [1, 1] for worker in range(workers) for number in wanted}
