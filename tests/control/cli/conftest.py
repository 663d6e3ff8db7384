"""meshctl against a real control plane: one process for all tests, a namespace for each test."""

import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from typing import NamedTuple

import pytest

from control.cli.app import main
from tests.fakes.control import control_plane

_numbers = itertools.count(1)


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def rows(self):
        """The words of each line."""
        return [line.split() for line in self.out.splitlines()]


@pytest.fixture(scope="session")
def control(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("control") / "data") as running:
        yield running


@pytest.fixture
def meshctl(control, monkeypatch, capfd):
    """Run a command in this process, as its user would; returns exit status and output."""
    for name in ("MESHCTL_TOKEN", "MESHCTL_NAMESPACE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MESHCTL_API", control.url())
    monkeypatch.setenv("MESHCTL_TOKEN_FILE", str(control.token_file))

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["meshctl", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Result(ended.value.code or 0, out, err)

    return run


class Watching:
    """A meshctl that goes on, as a process of its own; its lines are waited for within a bound."""

    def __init__(self, *arguments, **environment):
        command = [sys.executable, "-m", "control.cli.app", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**environment, "PYTHONUNBUFFERED": "1"})  # fmt: skip
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)

    def line(self):
        return self._lines.get(timeout=20)

    def stop(self):
        """End it; returns its exit status and what it said on standard error."""
        self.process.send_signal(signal.SIGINT)
        err = self.process.stderr.read()
        status = self.process.wait(20)
        self._reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return status, err


@pytest.fixture
def environment(control):
    """What a meshctl process gets that is to reach the control plane."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MESHCTL_")}
    return {**clean, "MESHCTL_API": control.url(), "MESHCTL_TOKEN_FILE": str(control.token_file)}


@pytest.fixture
def watching(environment):
    started = []

    def start(*arguments, **more):
        started.append(Watching(*arguments, **environment | more))
        return started[-1]

    yield start
    for item in started:
        if item.process.poll() is None:
            item.process.kill()
            item.stop()


@pytest.fixture
def ns():
    return f"ns{next(_numbers)}"


@pytest.fixture
def manifest(tmp_path):
    """Write documents into a file; returns its path."""

    def write(*documents, name="mesh.yaml"):
        path = tmp_path / name
        path.write_text("\n---\n".join(json.dumps(document) for document in documents))
        return path

    return write
