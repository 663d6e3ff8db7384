from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.place import PEERS, choose_cores, write_config
from tests.bench.process import Process, StartError

CORE = choose_cores().proxy
ALLOCATES = """
import sys
block = bytearray(80 << 20)
print("allocated", flush=True)
sys.stdin.read()
del block
print("done", flush=True)
import signal; signal.pause()
"""
HAS_A_CHILD = """
import os, signal, sys
if os.fork() == 0:
    print("child", os.getpid(), flush=True)
    n = 0
    while True:
        n += 1
signal.pause()
"""


def runs(pid: int) -> bool:
    """Whether it exists and has not ended (an ended one may wait for its parent)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_peak_stays_after_memory_is_given_back_until_it_is_forgotten(tmp_path: Path) -> None:
    process = Process("holder", [sys.executable, "-c", ALLOCATES], CORE, tmp_path)
    try:
        until(lambda: "done" in process.log_tail())
        assert process.rss_bytes() < 60 << 20
        assert process.peak_rss_bytes() > 80 << 20
        process.forget_peak()
        assert process.peak_rss_bytes() < 60 << 20
    finally:
        process.stop()


def test_children_count_and_end_with_it(tmp_path: Path) -> None:
    process = Process("parent", [sys.executable, "-c", HAS_A_CHILD], CORE, tmp_path)
    try:
        until(lambda: "child" in process.log_tail())
        child = int(process.log_tail().split()[1])
        assert set(process._pids()) == {process.pid, child}
        before_s = process.cpu_s()
        until(lambda: process.cpu_s() > before_s + 0.05)
    finally:
        process.stop()
    until(lambda: not runs(child))


def test_a_process_that_ended_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = Process("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"], CORE, tmp_path)
    process._child.wait()
    with pytest.raises(StartError, match=r"(?s)broken ended with 1.*no such thing"):
        process.check()


@pytest.mark.parametrize("source", [path.name for path in PEERS.iterdir() if path.suffix != ".sh"])
def test_a_written_configuration_has_no_placeholder_left(source: str, tmp_path: Path) -> None:
    target = write_config(source, tmp_path / "written", LISTEN=1, UPSTREAM=2, TLS="tls")
    lines = [line for line in target.read_text().splitlines() if "@type" not in line]
    assert not [line for line in lines if "@" in line]
