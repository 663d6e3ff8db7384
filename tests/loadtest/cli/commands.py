"""meshload as people start it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

PATIENCE_S = 60

SHORT = """\
name: short
origins: {echo: {instances: 2}}
load:
  timeout: 1s
  phases: [{for: 500ms, rate: 100/s}]
expect: [{success: 99.9, lost: 0}]
"""


@contextlib.contextmanager
def running(
    *words: str | Path,
    where: Path,
    stdout: int | IO[str] = subprocess.PIPE,
    prepare: Callable[[], object] | None = None,
    **environment: str,
) -> Iterator[subprocess.Popen[str]]:
    """It has `temporary(where)` for what it keeps while it runs."""
    temporary(where).mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MESHLOAD_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtest.cli.app", *map(str, words)],
        cwd=where,
        env={
            **inherited,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "COLUMNS": "100",
            "TMPDIR": str(temporary(where)),
            **environment,
        },
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,  # noqa: PLW1509 - a test has no other threads
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def temporary(where: Path) -> Path:
    return where / "temporary"


def say(
    *words: str | Path, where: Path, stdout: int | IO[str] = subprocess.PIPE, **environment: str
) -> tuple[int, str, str]:
    """Exit status, standard output, standard error; nothing temporary is left."""
    with running(*words, where=where, stdout=stdout, **environment) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert list(temporary(where).iterdir()) == []
    return process.returncode, out, err


def file(folder: Path, text: str = SHORT, name: str = "short.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path
