"""Which versions took part in a run."""

from __future__ import annotations

import platform
import re
import subprocess
from functools import cache
from importlib.metadata import version

from loadtest.subjects.programs import find
from loadtest.subjects.subject import SubjectError

_PROGRAMS = {
    "envoy": (["--version"], re.compile(r"/(\d[\w.-]*)/")),
    "haproxy": (["-v"], re.compile(r"version (\S+)")),
    "meshproxy": (["--version"], re.compile(r"meshproxy (\S+)")),
}
_PATIENCE_S = 20.0
_UNKNOWN = "unknown"


def versions(subject: str) -> dict[str, str]:
    """Of meshload, what it runs on, and the program that the subject's name begins with."""
    found = {"meshload": version("meshproxy"), "python": platform.python_version(), "kernel": platform.release()}
    for program in _PROGRAMS:
        if subject.startswith(program):
            found[program] = _ask(program)
    return found


@cache
def _ask(program: str) -> str:
    """What the program says, shortened to its number; all of its first line when there is none in it."""
    options, number = _PROGRAMS[program]
    try:
        said = subprocess.run(  # noqa: S603 - a program of a fixed list, with fixed options
            [find(program), *options], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        ).stdout.strip()
    except (SubjectError, OSError, subprocess.TimeoutExpired):  # after a run, whose result is worth more
        return _UNKNOWN
    match = number.search(said)
    return match[1] if match else said.partition("\n")[0] or _UNKNOWN
