from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.bench.load import Meter, parse
from tests.bench.place import Place, choose_cores, core_busy_s
from tests.bench.plan import MUCH, Plan
from tests.bench.report import Column, Sheet
from tests.bench.subjects import Subject


def plan(tmp_path: Path) -> Plan:
    return Plan(Place(tmp_path, choose_cores(), {}), rounds=2, seconds=1, warm_s=1, names=["envoy"])


def sheet() -> Sheet:
    return Sheet("throughput", "a title", [Column("rps", "requests/s")])


def measured(tmp_path: Path, **sample: float) -> Plan:
    made = plan(tmp_path)
    made.in_turns(sheet(), [Subject("envoy", 1, [])], lambda _subject, _seconds: {"rps": 1, "failed": 0, **sample})
    made.finish()
    return made


def test_the_result_is_found_among_what_wrk_prints() -> None:
    assert parse('Running 1s test\n  32 connections\nRESULT {"requests": 7, "failed": 1}\n') == {
        "requests": 7,
        "failed": 1,
    }


def test_without_a_result_the_output_is_shown() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1\n")


def test_a_core_s_time_grows_while_it_works() -> None:
    core = choose_cores().proxy
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        before_s, started_s = core_busy_s(core), time.process_time()
        while time.process_time() < started_s + 0.1:
            pass
        assert core_busy_s(core) >= before_s + 0.05
    finally:
        os.sched_setaffinity(0, allowed)


def test_a_subject_without_proxies_has_no_processor_time(tmp_path: Path) -> None:
    assert Meter.start(plan(tmp_path).place, Subject("direct", 1, [])).read(10) == {}


def test_subjects_are_measured_in_turns_after_a_warm_up(tmp_path: Path) -> None:
    calls: list[tuple[str, float]] = []

    def measure(subject: Subject, seconds: float) -> dict[str, float]:
        calls.append((subject.name, seconds))
        return {"rps": len(calls), "failed": 0}

    made = Plan(plan(tmp_path).place, rounds=2, seconds=4, warm_s=1, names=[])
    result = made.in_turns(sheet(), [Subject("a", 1, []), Subject("b", 2, [])], measure)
    assert calls == [("a", 1), ("b", 1), ("a", 4), ("b", 4), ("a", 4), ("b", 4)]
    assert [sample["rps"] for sample in result.samples["a"]] == [3, 5]


def test_a_failed_request_fails_the_run_and_is_told(tmp_path: Path) -> None:
    made = measured(tmp_path, failed=1)
    assert made.failed
    assert made.notices == ["envoy: 2 requests failed in: a title"]


def test_a_busy_machine_is_told_and_is_no_failure(tmp_path: Path) -> None:
    made = measured(tmp_path, others=MUCH * 2)
    assert not made.failed
    assert made.notices[0].startswith("the machine was busy: others used up to 20 %")


def test_a_subject_whose_program_is_absent_is_left_out_and_told(tmp_path: Path) -> None:
    made = plan(tmp_path)
    with made.started({"envoy": lambda _: pytest.fail("it was started")}) as subjects:
        assert subjects == []
    assert made.notices == ["envoy is left out: envoy is not installed"]
    assert not made.failed
