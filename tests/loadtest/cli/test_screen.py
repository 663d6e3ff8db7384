"""Whoever reads what a command prints may go away, and a disk may be full."""

from __future__ import annotations

import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest

from loadtest.cli.failure import Failure
from loadtest.cli.folder import Folder
from loadtest.results.file import read
from tests.loadtest.cli.commands import PATIENCE_S, SHORT, file, running, say


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    for words in (["list"], ["explain", "suite"]):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            assert say(*words, where=tmp_path, stdout=writing) == (0, None, "")
        finally:
            os.close(writing)


def test_a_run_goes_on_when_the_terminal_is_gone_and_was_not_to_matter(tmp_path: Path) -> None:
    ignore = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    with running("run", file(tmp_path, SHORT.replace("500ms", "1s")), where=tmp_path, prepare=ignore) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert "begins" in process.stderr.readline()
        process.stderr.close()
        process.stdout.close()
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE_S) == 0
    found = read(next(tmp_path.glob("meshload-results/*/result.json")))
    assert not found.interrupted
    assert found.results[0].summary.counts == {"200": 100}


def test_what_cannot_be_printed_is_told(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        status, _, err = say("list", where=tmp_path, stdout=full)
    assert (status, err) == (3, "error: standard output cannot be written: No space left on device\n")


def test_an_output_that_was_closed_from_the_start_is_no_error(tmp_path: Path) -> None:
    with running("list", where=tmp_path, prepare=partial(os.close, 1)) as process:
        assert process.wait(PATIENCE_S) == 0


def test_where_results_are_is_told_when_they_cannot_be_printed(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        status, _, err = say("run", file(tmp_path, SHORT), where=tmp_path, stdout=full)
    assert status == 3
    assert "result.json" in err
    assert "page.html" in err


def test_signs_that_a_terminal_does_not_have_are_replaced(tmp_path: Path) -> None:
    about = SHORT.replace("name: short", "name: short\nabout: 'so \N{BULLET} it is'")
    status, out, err = say("list", file(tmp_path, about), where=tmp_path, PYTHONIOENCODING="ascii")
    assert (status, err) == (0, "")
    assert "so ? it is" in out


def test_calls_of_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = [Folder(tmp_path, "x", pytest.fail) for _ in range(4)]
    for number, folder in enumerate(folders):
        folder.put("file", b"%d" % number)
    assert [[path.read_bytes() for path in folder.kept] for folder in folders] == [[b"0"], [b"1"], [b"2"], [b"3"]]


def test_what_cannot_be_kept_is_told_and_ends_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    folder = Folder(tmp_path / "out", "x", told.append)
    folder.put("file", b"1")
    shutil.rmtree(tmp_path / "out")
    folder.put("file", b"2")
    assert folder.kept == []
    assert len(told) == 1
    assert "cannot be written" in told[0]
    with pytest.raises(Failure, match="--out /proc/x"):
        Folder(Path("/proc/x"), "x", told.append)
