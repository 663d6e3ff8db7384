"""The programs that measure and are measured: found, installed where that is allowed, and named with their versions."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]

PACKAGES = {
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "openssl": "openssl",
}
"""Programs that come from Debian; envoy comes with the dependency group `dev`, py-spy with `bench`."""
WRK2 = "MESHPROXY_BENCH_WRK2"
"""Names the program, which is built from source and is called wrk there."""
NEEDED = ("nginx", "wrk")
"""Without the upstream and the load generator nothing can be measured."""


def find() -> dict[str, str]:
    """Where each program is, by name; installs what is absent when this is root on a Debian, else leaves it out."""
    absent = [package for program, package in PACKAGES.items() if not _which(program)]
    if absent and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {' '.join(absent)} ...", file=sys.stderr, flush=True)
        _apt(["update"])
        _apt(["install", "-y", "--no-install-recommends", *absent])
    own = ("meshproxy", "meshcontrol", "meshctl")
    return {name: path for name in (*PACKAGES, *own, "envoy", "py-spy", "perf", "wrk2") if (path := _which(name))}


def describe(tools: dict[str, str]) -> dict[str, str]:
    """The machine, the date, the versions."""
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
    }
    flags = {"nginx": "-v", "haproxy": "-v", "wrk": "-v", "wrk2": "-v"}
    flags |= dict.fromkeys(("h2load", "envoy", "meshproxy"), "--version")
    return facts | {name: _version(tools[name], flag) for name, flag in flags.items() if name in tools}


def _which(program: str) -> str | None:
    if program == "wrk2" and (named := os.environ.get(WRK2)):
        return shutil.which(named)
    # Programs of this environment first: they are not on PATH when the environment is not activated.
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    return shutil.which(program, path=os.pathsep.join(places))


def _apt(arguments: list[str]) -> None:
    # RUNLEVEL=1: the packages' own services are not started.
    env = {**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
    outcome = subprocess.run(["apt-get", "-qq", *arguments], env=env, capture_output=True, text=True, check=False)
    if outcome.returncode:
        print(f"apt-get {arguments[0]} failed: {outcome.stderr.strip()}", file=sys.stderr)


def _version(program: str, flag: str) -> str:
    """The first number with a point in it that the program says of itself."""
    outcome = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    # wrk says its version and exits with an error, as others do for a flag they do not know: only the text counts.
    found = re.search(r"(?<![\w.])v?(\d+\.\d+[\w.]*)", (outcome.stdout + outcome.stderr).replace("/", " "))
    return found[1] if found else "unknown"


def _commit() -> str:
    outcome = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return outcome.stdout.strip() or "unknown"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
