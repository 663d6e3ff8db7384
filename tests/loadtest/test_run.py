from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest
import yaml

from loadtest.report.live import Now
from loadtest.results.histogram import Histogram
from loadtest.results.model import Result
from loadtest.run import RunError, run
from loadtest.scenario.load import parse
from loadtest.scenario.model import Policy
from loadtest.stage.record import Trial
from loadtest.subjects import choice
from loadtest.subjects.direct import Direct
from loadtest.subjects.subject import Entry, Origins


def written(**fields: object) -> str:
    phases = [
        {"name": "warm-up", "for": "250ms", "rate": "200/s", "measured": False},
        {"name": "main", "for": "1s", "rate": "400/s"},
    ]
    return yaml.safe_dump({"name": "test", "load": {"timeout": "2s", "phases": phases}, **fields}, sort_keys=False)


def ignore(_: Now) -> None:
    pass


def kill(module: str) -> None:
    """The run's processes of that name, unless they have gone meanwhile."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if module in child.cmdline():
                child.kill()


async def result(text: str, subject: str = "direct", watch: Callable[[Now], None] = ignore) -> Result:
    found = await run(Trial(text, parse(text), subject), asyncio.Event(), watch)
    assert psutil.Process().children(recursive=True) == []
    return found


async def test_the_parts_of_a_result_agree() -> None:
    text = written(
        origins={"echo": {"instances": 3, "service_time": "1ms"}},
        faults=[{"at": "750ms", "for": "500ms", "instances": [2], "status": 503}],
        expect=[{"success": 99}, {"repeated_writes": 0, "lost": 0}, {"to": "500ms", "success": 100}],
    )
    found = await result(text)
    assert (found.scenario, found.subject, found.problems, found.interrupted) == ("test", "direct", [], False)
    assert found.summary.requests == 400
    assert found.ledger.sent == 450
    by_bin = sum((Counter(each.counts) for each in found.bins if each.phase == 1), Counter[str]())
    assert by_bin == Counter(found.summary.counts)
    assert set(by_bin) == {"200", "503"}
    counted = [Histogram.decode(each.ok).count for each in found.bins if each.phase == 1]
    assert sum(counted) == by_bin["200"] == found.summary.latency.count
    arrived = {each.instance: sum(one.received for one in each.bins) for each in found.endpoints}
    assert set(arrived) == {1, 2, 3}
    assert sum(arrived.values()) == 450
    met = {each.instance: sum((Counter(one.faults) for one in each.bins), Counter[str]()) for each in found.endpoints}
    assert met[2]["status"] == by_bin["503"] == found.ledger.failed
    assert [verdict.holds for verdict in found.verdicts] == [False, True, True, True]
    assert [(window.from_s, window.to_s, window.instances) for window in found.windows] == [(0.75, 1.25, [2])]
    assert found.generator.lateness.count == 400
    assert found.text == text


async def test_an_instance_that_is_replaced_in_order_is_not_missed() -> None:
    phases = [{"for": "1250ms", "rate": "200/s"}]
    text = written(
        origins={"echo": {"instances": 2}},
        changes=[{"at": "300ms", "replace": {"instance": 1, "lead": "200ms", "grace": "500ms"}}],
        # Every request has a connection of its own, and so goes to whom a caller is sent at that moment.
        load={"keep_alive": False, "phases": phases},
    )
    found = await result(text)
    assert found.summary.success_percent == 100
    arrived = {each.instance: [one.from_s for one in each.bins if one.received] for each in found.endpoints}
    assert max(arrived[1]) <= 0.5
    assert min(arrived[3]) >= 0.25
    assert max(arrived[2]) == max(arrived[3]) == 1.0


async def test_several_processes_share_the_load() -> None:
    text = written(load={"processes": 2, "phases": [{"for": "1s", "rate": "300/s"}]})
    found = await result(text)
    assert found.summary.requests == found.ledger.sent == found.ledger.succeeded == 300
    assert found.generator.processes == 2


async def test_a_generator_that_never_sleeps_does_the_same_work() -> None:
    phases = [{"for": "1s", "rate": "300/s"}]
    text = written(load={"busy_poll": True, "arrivals": "poisson", "phases": phases})
    found = await run(Trial(text, parse(text), "direct", pin=False), asyncio.Event(), ignore)
    assert found.summary.success_percent == 100
    assert found.summary.requests == found.ledger.sent == found.ledger.succeeded > 200
    assert not any("of a core" in reason for reason in found.generator.limited)


async def test_generators_that_never_sleep_have_to_leave_a_core() -> None:
    cores = len(os.sched_getaffinity(0))
    text = written(load={"busy_poll": True, "processes": cores, "phases": [{"for": "1s", "rate": "300/s"}]})
    with pytest.raises(RunError, match=rf"load\.busy_poll .* \({cores}\) .* of {cores}: fewer processes"):
        await run(Trial(text, parse(text), "direct", pin=False), asyncio.Event(), ignore)


async def test_a_run_that_is_interrupted_has_a_result_of_what_there_was() -> None:
    text = written(load={"phases": [{"for": "1h", "rate": "200/s"}]})
    stop = asyncio.Event()

    def watch(now: Now) -> None:
        if now.elapsed_s > 0.5:
            stop.set()

    found = await run(Trial(text, parse(text), "direct"), stop, watch)
    assert found.interrupted
    assert 100 <= found.summary.requests < 3600
    assert found.summary.success_percent == 100
    assert found.ledger.sent == found.summary.requests
    assert 150 < found.summary.per_second < 250
    assert psutil.Process().children(recursive=True) == []


async def test_a_run_that_is_cancelled_leaves_nothing_running() -> None:
    text = written()
    begun = asyncio.Event()
    task = asyncio.create_task(run(Trial(text, parse(text), "direct"), asyncio.Event(), lambda _: begun.set()))
    await begun.wait()
    assert psutil.Process().children(recursive=True) != []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert psutil.Process().children(recursive=True) == []


async def test_a_process_of_the_run_that_ends_is_a_problem_of_its_result() -> None:
    text = written()

    found = await run(Trial(text, parse(text), "direct"), asyncio.Event(), lambda _: kill("loadtest.client"))
    assert [problem.partition(":")[0] for problem in found.problems] == ["generator 1 ended with status -9"]
    assert not found.ledger.is_known


@pytest.mark.parametrize("rate", ["200/s", "9k/s"])
async def test_a_run_without_its_origin_ends_and_has_a_result_of_what_there_was(rate: str) -> None:
    text = written(load={"timeout": "1s", "phases": [{"for": "1h", "rate": rate}]}, expect=[{"lost": 0}])

    def watch(now: Now) -> None:
        if now.elapsed_s > 0.5:
            kill("loadtest.origin")

    found = await result(text, watch=watch)
    assert [problem.partition(":")[0] for problem in found.problems] == ["origin ended with status -9"]
    assert found.summary.counts["200"] > 50
    assert not found.ledger.is_known
    assert not found.interrupted
    assert [verdict.holds for verdict in found.verdicts] == [False]


async def test_a_run_that_is_interrupted_while_it_gets_ready_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()

    class Slow(Direct):
        async def start(self, origins: Origins, policy: Policy) -> Mapping[str, Entry]:
            stop.set()
            await asyncio.Event().wait()
            return await super().start(origins, policy)

    monkeypatch.setattr(choice, "make", lambda *_: Slow())
    text = written()
    with pytest.raises(RunError, match="before it began"):
        await asyncio.wait_for(run(Trial(text, parse(text), "direct"), stop, ignore), 30)
    assert psutil.Process().children(recursive=True) == []


async def test_a_run_that_finds_no_room_for_its_files_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(RunError, match="nowhere"):
        await result(written())


async def test_an_address_that_is_there_is_loaded_and_nothing_is_known_of_executions() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        found = await result(written(expect=[{"success": 100}, {"lost": 0}]), f"http://{host}:{port}")
        server.close()
    assert found.summary.counts == {"200": 400}
    assert not found.ledger.is_known
    assert [verdict.holds for verdict in found.verdicts] == [True, False]
