"""What is HAProxy's alone: whom it repeats, slots, and the runtime API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loadtest.subjects.haproxy import Slots
from loadtest.subjects.subject import SubjectError
from tests.loadtest.subjects.proxied import Proxied, running, until


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
    async with running("haproxy", tmp_path, instances=1, retries=2) as proxied:
        backend = proxied.backends[0]
        await backend.close()
        await until(lambda: is_down(proxied))
        assert (await proxied.call())[0] == 503
        await backend.listen()
        assert proxied.seen == []


async def test_codes_that_it_cannot_repeat_are_said_and_the_others_are_set(tmp_path: Path) -> None:
    async with running("haproxy", tmp_path, instances=1, retries=1, retry_codes=[429, 503]) as proxied:
        text = proxied.subject.configuration()["haproxy.cfg"]
        assert "cannot repeat after 429" in text
        assert "retry-on conn-failure empty-response response-timeout 503\n" in text


async def test_more_instances_than_slots_are_refused(tmp_path: Path) -> None:
    async with running("haproxy", tmp_path, instances=1) as proxied:
        many = [(f"127.0.9.{number}", 8080) for number in range(1, 50)]
        with pytest.raises(SubjectError, match="42 slots"):
            proxied.subject._slots["echo"].move(many)  # type: ignore[attr-defined]
        assert (await proxied.call())[0] == 200


async def test_an_answer_of_the_runtime_api_that_is_not_expected_is_shown(tmp_path: Path) -> None:
    async with running("haproxy", tmp_path, instances=1) as proxied:
        with pytest.raises(SubjectError, match=r"refused 'set server echo/slot99 state maint': No such server"):
            await proxied.subject._order("set server echo/slot99 state maint", "")  # type: ignore[attr-defined]


async def is_down(proxied: Proxied) -> bool:
    """Whether the first server is out, by the runtime API (srv_op_state is 0)."""
    row = await proxied.subject._ask("show servers state echo")  # type: ignore[attr-defined]
    return f" slot1 {proxied.backends[0].address[0]} 0 " in row


def test_slots_that_are_free_longest_are_taken_first() -> None:
    old, new, newer = ("127.0.0.1", 1), ("127.0.0.2", 1), ("127.0.0.3", 1)
    slots = Slots([old])
    assert slots.count == 42
    assert slots.move([old]) == []
    assert slots.move([new]) == [("slot2", new), ("slot1", None)]
    assert slots.move([new, newer]) == [("slot3", newer)]


def test_there_are_slots_to_spare_however_many_instances_there_are() -> None:
    for number in (0, 25, 26, 42, 200):
        slots = Slots([("127.0.0.1", port) for port in range(number)])
        assert slots.count % 42 == 0
        assert slots.count - number >= 16
