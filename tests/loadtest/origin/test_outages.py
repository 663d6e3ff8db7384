"""Instances that refuse, and instances that nothing reaches, seen by raw sockets."""

from __future__ import annotations

import socket
import time

import pytest

from tests.loadtest.origin.running import PATIENCE_S, RUN, Caller, Origins, eventually, serving, text


def is_refused(origins: Origins, number: int = 1) -> bool:
    try:
        with origins.connect("echo", number):
            return False
    except (ConnectionRefusedError, ConnectionResetError):  # the latter when it was accepted at the last moment
        return True


def vanishes(origins: Origins, number: int = 1) -> bool:
    """Whether a connection is neither accepted nor refused."""
    try:
        socket.create_connection(origins.address("echo", number), 0.1).close()
    except TimeoutError:
        return True
    except ConnectionRefusedError:
        return False
    return False


def wait_until(origins: Origins, run_s: float) -> None:
    eventually(lambda: origins.run_s() > run_s)


def test_refuse_resets_what_is_open_and_refuses_what_is_new_until_it_ends() -> None:
    with serving(text([{"at": "200ms", "for": "300ms", "refuse": True}])) as origins:
        with origins.connect() as idle, origins.connect() as other:
            assert idle.get(1) == 200
            for caller in (idle, other):
                with pytest.raises(ConnectionResetError):
                    caller.read()
        assert origins.run_s() >= 0.2
        while origins.run_s() < 0.4:
            assert is_refused(origins) or origins.run_s() >= 0.5
        eventually(lambda: not is_refused(origins))
        assert origins.run_s() >= 0.5
        with origins.connect() as caller:
            assert caller.get(2) == 200
        assert origins.counts() == {f"{RUN}-0-1": (1, 1), f"{RUN}-0-2": (1, 1)}


def test_refuse_loses_what_is_in_work_or_waits_as_a_crash_does() -> None:
    slow = {"concurrency": 1, "queue": 1, "service_time": "500ms"}
    with serving(text([{"at": "200ms", "for": "200ms", "refuse": True}], echo=slow)) as origins:
        with origins.connect() as one, origins.connect() as two:
            one.ask(1)
            two.ask(2)
            for caller in (one, two):
                with pytest.raises(ConnectionResetError):
                    caller.read()
        eventually(lambda: not is_refused(origins))
        assert origins.working() == 0
        with origins.connect() as caller:
            assert caller.get(3) == 200  # its slot was free
        assert origins.counts() == {f"{RUN}-0-1": (1, 0), f"{RUN}-0-2": (1, 0), f"{RUN}-0-3": (1, 1)}


def test_refuse_repeats_and_concerns_its_instances_only() -> None:
    flapping = {"at": "200ms", "for": "300ms", "every": "600ms", "until": "1400ms", "instances": [2], "refuse": True}
    with serving(text([flapping], echo={"instances": 2})) as origins:
        # A machine that is busy looks later, never earlier: so an edge is only known not to be before its time.
        for begin, end in ((0.2, 0.5), (0.8, 1.1)):
            for is_out, at in ((True, begin), (False, end)):
                eventually(lambda wanted=is_out: is_refused(origins, 2) is wanted)
                assert origins.run_s() >= at
                assert not is_refused(origins, 1)
        wait_until(origins, 1.41)
        assert not is_refused(origins, 2)


END_S = 0.8
HOLE = {"at": "200ms", "for": "600ms", "black_hole": True}


def test_nothing_connects_to_a_black_hole() -> None:
    with serving(text([HOLE], echo={"instances": 2})) as origins:
        wait_until(origins, 0.21)
        for number in (1, 2):
            assert vanishes(origins, number) or origins.run_s() >= END_S
        wait_until(origins, END_S + 0.01)
        with origins.connect() as caller:
            assert caller.get() == 200


def test_what_is_sent_into_a_black_hole_is_not_acknowledged_and_arrives_when_it_is_over() -> None:
    with serving(text([HOLE])) as origins, origins.connect() as caller:
        assert caller.get(1) == 200
        eventually(lambda: caller.unacknowledged() == 0)
        wait_until(origins, 0.21)
        caller.ask(2)
        seen = (caller.is_silent(0.2), caller.unacknowledged() >= 1)
        assert all(seen) or origins.run_s() >= END_S
        response, _ = caller.answer()
        assert response.status == 200
        assert origins.run_s() >= END_S
        assert origins.counts() == {f"{RUN}-0-1": (1, 1), f"{RUN}-0-2": (1, 1)}


def test_neither_answers_nor_resets_nor_fins_leave_a_black_hole_before_it_is_over() -> None:
    faults = [HOLE, {"origin": "reset", "reset": "after"}, {"origin": "close", "close": "after"}]
    slow = {"service_time": "250ms"}
    with (
        serving(text(faults, answer=slow, reset=slow, close=slow)) as origins,
        origins.connect("answer") as answer,
        origins.connect("reset") as reset,
        origins.connect("close") as close,
    ):
        wait_until(origins, 0.1)
        for number, caller in enumerate((answer, reset, close)):
            caller.ask(number)
        executed: set[str] = set()

        def all_executed() -> bool:
            executed.update(name for name, (_, times) in origins.counts().items() if times)
            return len(executed) == 3

        eventually(all_executed)
        assert all(caller.is_silent(0.03) for caller in (answer, reset, close)) or origins.run_s() >= END_S
        assert answer.answer()[0].status == 200
        assert origins.run_s() >= END_S
        with pytest.raises(ConnectionResetError):
            reset.read()
        assert close.read() == b""


def test_a_client_that_leaves_during_a_black_hole_is_noticed_after_it() -> None:
    slow = {"concurrency": 1, "queue": 1, "service_time": "30s"}
    with serving(text([HOLE], echo=slow)) as origins, origins.connect() as first:
        first.ask(1)
        eventually(lambda: origins.working() == 1)
        with origins.connect() as second:
            second.ask(2)
            eventually(lambda: origins.working() == 2)
            wait_until(origins, 0.21)
        wait_until(origins, 0.4)
        assert origins.working() == 2 or origins.run_s() >= END_S
        eventually(lambda: origins.working() == 1)
        assert origins.run_s() >= END_S


def test_an_instance_that_retires_in_a_black_hole_does_not_answer_before_it_is_over() -> None:
    with serving(text([HOLE])) as origins, origins.connect() as idle:
        assert idle.get() == 200
        wait_until(origins, 0.21)
        origins.retire("echo", 1, 5)
        assert vanishes(origins) or origins.run_s() >= END_S
        assert idle.is_silent(0.02) or origins.run_s() >= END_S
        eventually(lambda: is_refused(origins))
        assert origins.run_s() >= END_S
        assert idle.read() == b""


def test_what_a_black_hole_holds_back_is_lost_in_a_crash_at_its_end() -> None:
    faults = [{"at": "600ms", "for": "300ms", "refuse": True}, {"at": "200ms", "for": "1h", "black_hole": True}]
    with serving(text(faults, echo={"service_time": "250ms"})) as origins, origins.connect() as caller:
        caller.ask(1)
        eventually(lambda: any(executed for _, executed in origins.counts().values()) or origins.run_s() > 0.6)
        with pytest.raises(ConnectionResetError):
            caller.sock.recv(1)
        assert origins.run_s() >= 0.6


def test_a_black_hole_is_no_obstacle_to_other_instances_and_repeats() -> None:
    flapping = {"at": "200ms", "for": "300ms", "every": "500ms", "until": "1s", "instances": [2], "black_hole": True}
    with (
        serving(text([flapping], echo={"instances": 2})) as origins,
        origins.connect("echo", 1) as one,
        origins.connect("echo", 2) as two,
    ):
        assert two.get() == 200
        for begin, end in ((0.2, 0.5), (0.7, 1.0)):
            wait_until(origins, begin + 0.01)
            two.ask()
            assert one.get() == 200
            assert two.is_silent(0.05) or origins.run_s() >= end
            assert two.answer()[0].status == 200
            assert origins.run_s() >= end


def test_the_first_of_two_outages_holds_and_then_the_other() -> None:
    faults = [{"at": "200ms", "for": "300ms", "refuse": True}, {"at": "0s", "for": "800ms", "black_hole": True}]
    with serving(text(faults)) as origins:
        assert vanishes(origins) or origins.run_s() >= 0.2
        wait_until(origins, 0.21)
        assert is_refused(origins) or origins.run_s() >= 0.5
        wait_until(origins, 0.51)
        assert vanishes(origins) or origins.run_s() >= 0.8
        wait_until(origins, 0.8)
        assert not is_refused(origins)


def test_an_address_that_is_taken_when_refuse_ends_is_trouble() -> None:
    origins = Origins(text([{"at": "100ms", "for": "800ms", "refuse": True}]), 0.0)
    try:
        eventually(lambda: is_refused(origins))
        with socket.create_server(origins.address()):
            eventually(lambda: origins.troubles)
        assert "something else does" in origins.troubles[0]
    finally:
        origins.close()


def test_slow_readers_are_reset_too() -> None:
    with (
        serving(text([{"at": "200ms", "for": "500ms", "refuse": True}], echo={"body": "16MiB"})) as origins,
        Caller(socket.socket()) as caller,
    ):
        caller.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.sock.settimeout(PATIENCE_S)
        caller.sock.connect(origins.address())
        caller.ask(1, "GET", "connection: close")
        began = time.monotonic()
        eventually(lambda: is_refused(origins))
        with pytest.raises(ConnectionResetError):
            caller.read()
        assert time.monotonic() - began < PATIENCE_S
