from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple, cast

import psutil
import pytest

from loadtest.process import Child
from loadtest.stage.usage import Meter

WORK = """
import sys, time
for line in sys.stdin:
    end = time.process_time() + float(line)
    while time.process_time() < end: pass
    print(flush=True)
"""
MIB = 1024 * 1024


class Known(NamedTuple):
    """What a meter knows of a child."""

    name: str
    pid: int


async def test_what_a_process_used_is_counted_from_when_it_was_first_seen() -> None:
    child = await Child.begin("worker", [sys.executable, "-S", "-c", WORK], speaks=True)
    try:
        child.tell(b"0.2")
        await child.hear()
        meter = Meter()
        meter.look([child])
        assert [(each.name, each.cpu_s) for each in meter.usage()] == [("worker", 0)]
        child.tell(b"0.1")
        await child.hear()
        meter.look([child])
        (used,) = meter.usage()
        assert used.cpu_s == pytest.approx(0.1, abs=0.05)
        assert MIB < used.rss_bytes < 64 * MIB
    finally:
        await child.end()
    meter.look([child])
    meter.look([])
    assert meter.usage() == [used]


def test_a_process_that_has_just_ended_counts_with_what_was_seen_last() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", WORK], stdin=subprocess.PIPE) as process:
        child = cast("Child", Known("worker", process.pid))
        meter = Meter()
        meter.look([child])
        seen = meter.usage()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is there, until somebody waits for it
        assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
        meter.look([child])
    assert meter.usage() == seen
    assert seen[0].rss_bytes > 0


async def test_the_memory_of_one_that_was_started_again_counts_once() -> None:
    meter = Meter()
    for _ in range(2):
        child = await Child.begin("plane", [sys.executable, "-S", "-c", WORK], speaks=True)
        child.tell(b"0")
        await child.hear()
        meter.look([child])
        await child.end()
    first, second = meter.usage()
    assert (first.name, first.rss_bytes) == ("plane", 0)
    assert second.rss_bytes > MIB


def test_a_number_that_became_another_s_process_is_not_counted() -> None:
    meter = Meter()
    meter.look([cast("Child", Known("worker", os.getppid()))])
    assert meter.usage() == []
