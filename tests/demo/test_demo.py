"""The demo itself, as a user runs it, on ports of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.acts import ACTS
from deploy.demo.child import ROOT

PATIENCE_S = 60


class Demo:
    """A run of it: `base` is its port base, `place` where it may put files."""

    def __init__(self, place: Path, base: int | None = None, **env: str) -> None:
        self.base = base or free_base()
        self.place = place
        self.env = ROOT / "build" / f"demo-{self.base}.env"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.demo"],
            cwd=ROOT,
            env={**os.environ, "DEMO_PORT_BASE": str(self.base), "TMPDIR": str(place), "COLUMNS": "220", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read_until(self, pattern: str) -> str:
        assert self.process.stdout
        seen = ""
        while line := self.process.stdout.readline():
            seen += line
            if re.search(pattern, line):
                return seen
        raise AssertionError(f"the demo ended without {pattern!r}:\n{seen}")

    def finish(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err

    def left(self) -> list[str]:
        """Processes and listeners of it, and files."""
        commands = list(_commands())
        ports = [f"127.0.10.1:{self.base + offset}" for offset in (0, 1, 6, 80)]
        ports += [f"127.0.10.2:{self.base + offset}" for offset in (10, 12, 14)]
        found = [command for command in commands if any(port in command for port in ports)]
        found += [port for port in ports if _is_open(port)]
        found += [str(self.env)] if self.env.exists() else []
        return found + [str(path) for path in self.place.iterdir()]


def _commands() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


def _is_open(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as sock:
        return sock.connect_ex((host, int(port))) == 0


def free_base() -> int:
    """A port base of which some port was free a moment ago; others use 127.0.0.1, the demo does not."""
    with socket.socket() as sock:
        sock.bind(("127.0.10.1", 0))
        return min(int(sock.getsockname()[1]), 65_000)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    return place


def test_users_notice_nothing_and_nothing_is_left(tmp_path: Path, place: Path) -> None:
    picture = tmp_path / "demo.svg"
    demo = Demo(place, DEMO_SECONDS="10", DEMO_PICTURE=str(picture))
    code, out, err = demo.finish()
    assert (code, err) == (0, ""), out
    summary = re.search(r"Users noticed nothing: (\d+) pages, 0 failed", out)
    assert summary is not None, out
    assert int(summary[1]) > 100
    words = "|".join(act.word for act in ACTS)
    acts = dict(re.findall(rf"^({words}) +(\d+) +0 ", out, re.MULTILINE))
    assert sum(map(int, acts.values())) == int(summary[1])
    assert len(acts) == len(ACTS)
    assert re.search(r"^all well .*v2 asked 0 %, measured 0 % of [1-9]", out, re.MULTILINE), out
    assert re.search(r"^canary 50 % .*v2 asked 50 %, measured [1-9].*from write to Ack", out, re.MULTILINE), out
    assert re.search(r"^away .*v2 asked 50 %, measured [1-9]", out, re.MULTILINE), out
    assert re.search(
        r"^restarted .*v2 asked 100 %, measured (100|9.+) % of [1-9].*from write to Ack", out, re.MULTILINE
    ), out
    assert re.search(r"^replaced .*catalog-\d gone, catalog-4 in its place", out, re.MULTILINE), out
    assert re.search(r"killed .*\d+ calls? repeated", out), out
    assert re.search(r"failing .*[1-9]\d* x 503; [1-9]\d* calls? repeated; catalog-\d (ejected|avoided)", out), out
    assert "\x1b" not in out
    assert "away&#160;for" in picture.read_text()
    assert demo.left() == []


@pytest.mark.parametrize(("number", "moment"), [(signal.SIGINT, "act 1"), (signal.SIGHUP, "starting")])
def test_a_signal_ends_it_at_any_time_and_nothing_is_left(place: Path, number: signal.Signals, moment: str) -> None:
    demo = Demo(place, DEMO_SECONDS="10")
    demo.read_until(moment)
    if moment == "act 1":
        demo.read_until(r"users: [1-9]\d* pages")
    demo.process.send_signal(number)
    code, out, err = demo.finish()
    assert err == "", out
    assert code == (0 if moment == "act 1" else 130)
    assert ("Users noticed nothing" in out) == (moment == "act 1")
    assert demo.left() == []


def test_its_children_end_with_it_even_when_it_is_killed(place: Path) -> None:
    demo = Demo(place)
    demo.read_until("they are ready")
    demo.process.kill()
    demo.finish()
    deadline = time.monotonic() + 10
    kept = (str(place), str(demo.env))
    while [word for word in demo.left() if not word.startswith(kept)] and time.monotonic() < deadline:
        os.sched_yield()
    assert [word for word in demo.left() if not word.startswith(kept)] == []
    demo.env.unlink()


def test_a_port_that_is_taken_is_named_and_nothing_is_started(place: Path) -> None:
    base = free_base()
    with socket.create_server(("127.0.10.22", base + 6)):
        demo = Demo(place, base)
        code, _, err = demo.finish()
    assert code == 1
    assert f"127.0.10.22:{base + 6} cannot be had" in err
    assert "DEMO_PORT_BASE=" in err
    assert demo.left() == []


def test_it_ends_when_nobody_reads_its_output(place: Path) -> None:
    demo = Demo(place)
    demo.read_until("starting")
    assert demo.process.stdout
    demo.process.stdout.close()
    demo.process.wait(PATIENCE_S)
    assert demo.process.stderr
    assert demo.process.stderr.read() == "demo: nobody reads the output any more\n"
    demo.process.stderr.close()
    assert demo.process.returncode == 1
    assert demo.left() == []
