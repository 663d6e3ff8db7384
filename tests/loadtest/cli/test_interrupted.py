"""However a command is ended, nothing of it goes on, and what it had is kept."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from loadtest.results.file import read
from tests.loadtest.cli.commands import PATIENCE_S, SHORT, file, running, temporary

LONG = SHORT.replace("500ms", "10m")


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.parametrize(
    ("number", "subject", "count"),
    [(signal.SIGINT, "meshproxy-snapshot", 3), (signal.SIGTERM, "direct", 2), (signal.SIGHUP, "direct", 2)],
)
def test_an_interrupted_run_keeps_what_it_has_and_leaves_nothing_running(
    tmp_path: Path, number: int, subject: str, count: int
) -> None:
    heed = partial(signal.signal, number, signal.SIG_DFL)  # also when these tests are run by nohup
    with running("run", file(tmp_path, LONG), "--subject", subject, where=tmp_path, prepare=heed) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if " s of 10 m" in line:
                break
        children = family(process.pid)
        assert len(children) == count
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    until(lambda: not any(child.is_running() for child in children))
    found = read(next(tmp_path.glob("meshload-results/*/result.json")))
    assert found.interrupted
    assert found.results[0].interrupted
    assert "page.html" in err
    assert next(tmp_path.glob("meshload-results/*/page.html")).stat().st_size > 0
    assert list(temporary(tmp_path).iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_takes_nothing_away(tmp_path: Path, number: int) -> None:
    with running("run", file(tmp_path, LONG), "--subject", "direct", where=tmp_path) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if " s of 10 m" in line:
                break
        while not list(tmp_path.glob("meshload-results/*/page.html")):
            assert process.poll() is None
            process.send_signal(number)
            time.sleep(0.02)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert "page.html" in err
    assert "success" in out


def test_a_run_that_is_killed_takes_its_processes_along(tmp_path: Path) -> None:
    with running("run", file(tmp_path, LONG), "--subject", "meshproxy-snapshot", where=tmp_path) as process:
        until(lambda: len(family(process.pid)) == 3)
        children = family(process.pid)
    until(lambda: not any(child.is_running() for child in children))
