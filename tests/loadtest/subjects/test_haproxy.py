"""What is HAProxy's alone: whom it repeats, slots, and the runtime API."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from loadtest.scenario.model import Policy
from loadtest.subjects import readiness
from loadtest.subjects.haproxy import Slots
from loadtest.subjects.subject import SubjectError
from tests.loadtest.subjects.proxied import Proxied, running, stage, until


@pytest.mark.parametrize(("mood", "status"), [("503", 503), ("reset", 502), ("hang", 504)])
async def test_a_write_that_was_sent_is_not_repeated(mood: str, status: int, tmp_path: Path) -> None:
    async with running("haproxy", tmp_path, attempt_timeout="150ms", retries=2, retry_codes=[503]) as proxied:
        for backend in proxied.backends:
            backend.mood = mood
        assert (await proxied.call("POST"))[0] == status
        assert len(proxied.seen) == 1


async def test_a_write_is_repeated_when_no_connection_was_made(tmp_path: Path) -> None:
    async with running("haproxy", tmp_path, retries=2) as proxied:
        await proxied.backends[0].close()
        assert {status for status, _ in await proxied.calls(12, "POST")} == {200}


async def test_an_instance_that_fails_in_a_row_is_left_alone(tmp_path: Path) -> None:
    async with running("haproxy", tmp_path, instances=2, retries=2, retry_codes=[503]) as proxied:
        proxied.backends[0].mood = "503"

        async def is_out() -> bool:
            await asyncio.gather(*(proxied.call("POST") for _ in range(20)))
            return await is_down(proxied)

        await until(is_out)
        assert await proxied.calls(6, "POST") == {(200, "2"): 6}


async def test_errors_that_are_repeated_do_not_take_an_instance_out(tmp_path: Path) -> None:
    async with running("haproxy", tmp_path, instances=2, retries=2, retry_codes=[503]) as proxied:
        proxied.backends[0].mood = "503"
        while len(proxied.backends[0].seen) < 100:
            await asyncio.gather(*(proxied.call() for _ in range(20)))
        assert not await is_down(proxied)


async def test_checks_send_no_request(tmp_path: Path) -> None:
    async with stage("haproxy", tmp_path) as proxied:
        backend = await proxied.add()
        await backend.close()
        proxied.entry = (await proxied.subject.start(proxied.origins, Policy()))["echo"]
        await until(lambda: is_down(proxied))
        assert (await proxied.call())[0] == 503
        await backend.listen()

        async def have_succeeded() -> bool:
            # By HAProxy's own count: it resets the connection of a check before a server could accept it.
            return int((await first_server(proxied))[12]) >= 2

        await until(have_succeeded)
        assert proxied.seen == []


async def test_codes_that_it_cannot_repeat_are_said_and_the_others_are_set(tmp_path: Path) -> None:
    async with running("haproxy", tmp_path, instances=1, retries=1, retry_codes=[429, 503]) as proxied:
        text = proxied.subject.configuration()["haproxy.cfg"]
        assert "HAProxy 2.6 cannot repeat after 429" in text
        assert "retry-on conn-failure empty-response response-timeout 503\n" in text


async def test_more_instances_than_slots_are_refused(tmp_path: Path) -> None:
    async with running("haproxy", tmp_path, instances=1) as proxied:
        many = [(f"127.0.9.{number}", 8080) for number in range(1, 50)]
        with pytest.raises(SubjectError, match="42 slots"):
            proxied.subject._slots["echo"].changes(many)  # type: ignore[attr-defined]
        assert (await proxied.call())[0] == 200


async def test_an_answer_of_the_runtime_api_that_is_not_expected_is_shown(tmp_path: Path) -> None:
    async with running("haproxy", tmp_path, instances=1) as proxied:
        with pytest.raises(SubjectError, match=r"refused 'set server echo/slot99 state maint': No such server"):
            await proxied.subject._order("set server echo/slot99 state maint")  # type: ignore[attr-defined]


async def test_an_update_that_was_not_answered_is_made_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running("haproxy", tmp_path, instances=1) as proxied:
        subject = proxied.subject
        new = await proxied.add()
        proxied.backends.pop(0)
        os.kill(subject.children()[0].pid, signal.SIGSTOP)
        monkeypatch.setattr(readiness, "ANSWER_S", 0.1)
        with pytest.raises(SubjectError, match=r"haproxy does not answer \(no answer in 0\.1 s\); its last words:\n"):
            await subject.update(proxied.origins)
        monkeypatch.undo()
        os.kill(subject.children()[0].pid, signal.SIGCONT)
        await subject.update(proxied.origins)
        assert await proxied.calls(4) == {(200, str(new.number)): 4}


async def is_down(proxied: Proxied) -> bool:
    """Whether the first server is out (srv_op_state is 0)."""
    return (await first_server(proxied))[5] == "0"


async def first_server(proxied: Proxied) -> list[str]:
    """What the runtime API says of it: fields as in HAProxy's management guide, `show servers state`."""
    rows = await proxied.subject._ask("show servers state echo")  # type: ignore[attr-defined]
    (row,) = [row.split() for row in rows.splitlines() if f" slot1 {proxied.backends[0].address[0]} " in row]
    return row  # type: ignore[no-any-return]


def test_slots_that_are_free_longest_are_taken_first() -> None:
    old, new, newer = ("127.0.0.1", 1), ("127.0.0.2", 1), ("127.0.0.3", 1)
    slots = Slots([old])
    assert slots.count == 42
    assert slots.changes([old]) == []
    changes = slots.changes([new])
    assert changes == [("slot2", new), ("slot1", None)]
    assert slots.changes([new]) == changes, "nothing was made yet"
    slots.made("slot2", new)
    assert slots.changes([new]) == [("slot1", None)]
    slots.made("slot1", None)
    assert slots.changes([new, newer]) == [("slot3", newer)]
    assert slots.changes([new, *(("127.0.0.4", port) for port in range(41))])[-1][0] == "slot1"


def test_there_are_slots_to_spare_however_many_instances_there_are() -> None:
    for number in (0, 25, 26, 42, 200):
        slots = Slots([("127.0.0.1", port) for port in range(number)])
        assert slots.count % 42 == 0
        assert slots.count - number >= 16
