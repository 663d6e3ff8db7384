"""meshload as people start it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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
def running(*words: str | Path, where: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESHLOAD_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtest.cli.app", *map(str, words)],
        cwd=where,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[3]), "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def say(*words: str | Path, where: Path) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    with running(*words, where=where) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err


def file(folder: Path, text: str = SHORT, name: str = "short.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path
