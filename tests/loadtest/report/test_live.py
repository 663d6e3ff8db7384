from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from loadtest.report.live import LiveLine, Now


def now(elapsed_s, **changes):
    figures = {
        "phase": "steady",
        "per_second": 398.0,
        "success_percent": 98.2,
        "p99_us": 12_340,
        "connections": 61,
        "waiting": 3,
        "faults": ["echo 1 hangs"],
    }
    return Now(elapsed_s=elapsed_s, **{**figures, **changes})


def screen(*, terminal, width=80):
    file = io.StringIO()
    console = Console(
        file=file, width=width, height=24, force_terminal=terminal, color_system=None, legacy_windows=False
    )
    return console, file


def test_a_terminal_shows_the_moment_and_nothing_is_left_of_it_afterwards():
    console, file = screen(terminal=True)
    with LiveLine(console) as line:
        line.begin("1/2 one-hangs envoy", 20)
        assert "getting ready" in file.getvalue()
        file.truncate(0)
        line.update(now(6.5))
        text = file.getvalue()
        for part in ("1/2 one-hangs envoy", "6.5 s of 20 s", "steady", "398/s", "98.20 % succeed", "p99 12.3 ms"):
            assert part in text
        assert "61 open" in text
        assert "3 waiting" in text
        file.truncate(0)
        line.end()
        assert "\x1b[2K" in file.getvalue(), "the lines are erased"
        assert "\x1b[?25h" in file.getvalue(), "the cursor is back"


@pytest.mark.parametrize("width", [30, 80])
def test_a_narrow_terminal_cuts_and_never_wraps(width):
    console, file = screen(terminal=True, width=width)
    with LiveLine(console) as line:
        line.begin("1/2 a-scenario-with-a-rather-long-name envoy", 20)
        file.truncate(0)
        file.seek(0)
        line.update(now(6.5, faults=["echo 1 hangs"] * 9))
        assert file.getvalue().count("\n") == 1, "two lines"


def test_the_faults_that_hold_are_told_on_a_wide_terminal():
    console, file = screen(terminal=True, width=200)
    with LiveLine(console) as line:
        line.begin("x", 20)
        line.update(now(1, faults=["echo 1 hangs", "echo 2 answers 503"]))
    assert "echo 1 hangs; echo 2 answers 503" in file.getvalue()


def test_the_cursor_comes_back_when_a_run_fails():
    console, file = screen(terminal=True)

    def fail():
        with LiveLine(console) as line:
            line.begin("x", 20)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert file.getvalue().rindex("\x1b[?25h") > file.getvalue().rindex("\x1b[?25l")


def test_it_has_no_thread():
    console, _ = screen(terminal=True)
    before = threading.active_count()
    with LiveLine(console) as line:
        line.begin("x", 20)
        line.update(now(1))
        assert threading.active_count() == before


def test_elsewhere_there_is_a_line_every_five_seconds_of_the_run():
    console, file = screen(terminal=False)
    with LiveLine(console) as line:
        line.begin("1/2 one-hangs envoy", 20)
        for tenth in range(200):
            line.update(now(tenth / 10))
    lines = file.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[0] == "1/2 one-hangs envoy: begins, 20 s of load"
    assert lines[2] == (
        "1/2 one-hangs envoy: 5 s of 20 s, steady, 398/s, 98.20 % succeed, p99 12.3 ms, 61 open, 3 waiting"
        "; echo 1 hangs"
    )
    assert "\x1b" not in file.getvalue()


def test_what_is_not_known_yet_is_not_told():
    console, file = screen(terminal=False)
    with LiveLine(console) as line:
        line.begin("x", 20)
        line.update(now(0.2, phase="", success_percent=None, p99_us=0, waiting=0, faults=[]))
    assert file.getvalue().splitlines()[1] == "x: 0.2 s of 20 s, 398/s, 61 open"


def test_one_line_serves_several_runs_and_text_is_no_markup():
    console, file = screen(terminal=False)
    with LiveLine(console) as line:
        for title in ("[bold]a[/bold]", "b\x1b[2J"):
            line.begin(title, 1)
            line.update(now(0.5))
            line.end()
    lines = file.getvalue().splitlines()
    assert [each.split(":")[0] for each in lines] == ["[bold]a[/bold]"] * 2 + ["b?[2J"] * 2
