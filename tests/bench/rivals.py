"""Other load generators: each sends a load from the load's core, and what it says of it is read."""

from __future__ import annotations

import re
import resource
import subprocess
from collections.abc import Iterable
from pathlib import Path
from tempfile import mkdtemp

from tests.bench import load
from tests.bench.pace import percentile
from tests.bench.place import HOST, ROOT, Place
from tests.bench.report import Sample
from tests.bench.share import Share

LEVELS = (50.0, 90.0, 99.0, 99.9)
CONNECTIONS = 1_000
"""Of an open loop, each used once a second or less: a request never waits for the one before it."""
WRK2_SETTLE_S = 15.0
"""wrk2 forgets what it measured in its first 10 s, and 5 ms for each connection (calibrate() in its wrk.c)."""
SENT = "sent_"

_PERCENTILE = re.compile(r"^ *([0-9.]+)% +([0-9.]+)(us|ms|s|m|h) *$", re.MULTILINE)
_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}
_REQUESTS = re.compile(r"^ *(\d+) requests in ", re.MULTILINE)
_SOCKET_ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_STATUS_ERRORS = re.compile(r"Non-2xx or 3xx responses: (\d+)")


def wrk(place: Place, url: str, seconds: float) -> Sample:
    """A closed loop of 32 connections, a field of every request being its own, as an id is.

    rps, failed, requests, cpu_us (of wrk, for each request), and what Share reads.
    """
    command = [place.tools["wrk"], "-t1", f"-c{load.CONNECTIONS}", f"-d{seconds:.0f}s", "-s", str(load.SCRIPT)]
    output, used = _run(place, [*command, "-H", f"Host: {HOST}", url, "--", "unique"])
    sample = load.parse(output)
    sample |= {"rps": sample["requests"] / sample["duration_s"], "cpu_us": used["cpu_s"] / sample["requests"] * 1e6}
    return sample | used


def h2load(place: Place, url: str, rate: int, settle_s: float, seconds: float) -> Sample:
    """An open loop of CONNECTIONS that begin evenly over their first turn, so that requests are evenly spread.

    It counts a latency from when it submits a request, which its timer may have delayed. Percentiles are of what began
    after the first `settle_s`; requests, failed, and what Share reads.
    """
    log = Path(mkdtemp(prefix="h2load-", dir=place.directory)) / "log"  # h2load adds to a file that is there
    command = [place.tools["h2load"], "--h1", "-t1", "-m1", f"-c{CONNECTIONS}", f"-n{rate * (settle_s + seconds):.0f}"]
    command += [f"--rps={rate / CONNECTIONS:g}", "-r1", f"--rate-period={1000 / rate:.0f}ms", f"--log-file={log}", url]
    _, used = _run(place, command)
    return h2load_log(log.read_text().splitlines(), settle_s, seconds) | used


def h2load_log(lines: Iterable[str], settle_s: float, seconds: float) -> Sample:
    """From rows of start (microseconds), status, latency (microseconds), for what began in [settle_s, + seconds)."""
    rows = [tuple(map(int, line.split("\t")[:3])) for line in lines]
    if not rows:
        raise ValueError("h2load logged no request")
    counted_us = min(start_us for start_us, _, _ in rows) + settle_s * 1e6
    counted = [row for row in rows if counted_us <= row[0] < counted_us + seconds * 1e6]
    answered = sorted(float(latency_us) for _, status, latency_us in counted if 200 <= status < 400)
    found = {name(level): percentile(answered, level) for level in LEVELS}
    return found | {"requests": len(counted), "failed": len(counted) - len(answered)}


def wrk2(place: Place, url: str, rate: int, settle_s: float, seconds: float) -> Sample:
    """An open loop of CONNECTIONS. It counts latencies from intended starts, its own timer of 1 ms being late.

    Percentiles; the same with SENT before the key, from when it sent; requests (those of the beginning too), failed;
    what Share reads.
    """
    lasts_s = max(settle_s, WRK2_SETTLE_S) + seconds
    command = [place.tools["wrk2"], "-t1", f"-c{CONNECTIONS}", f"-R{rate}", f"-d{lasts_s:.0f}s", "--latency", "-U", url]
    output, used = _run(place, command)
    return wrk2_output(output) | used


def wrk2_output(output: str) -> Sample:
    """Both sorts of percentiles, requests, failed; ValueError when they are not there."""
    intended, _, sent = output.partition("Uncorrected Latency")
    requests = _REQUESTS.search(output)
    if not requests or not sent:
        raise ValueError(f"wrk2 gave no result: {output!r}")
    failed = sum(int(count) for found in _SOCKET_ERRORS.findall(output) for count in found)
    failed += sum(map(int, _STATUS_ERRORS.findall(output)))
    return _told(intended) | _told(sent, SENT) | {"requests": int(requests[1]), "failed": failed}


def _told(output: str, prefix: str = "") -> Sample:
    told = {float(level): float(number) * _US[unit] for level, number, unit in _PERCENTILE.findall(output)}
    if not told.keys() >= set(LEVELS):
        raise ValueError(f"wrk2 gave not all percentiles: {output!r}")
    return {prefix + name(level): told[level] for level in LEVELS}


def name(level: float) -> str:
    """The key of a percentile in a sample."""
    return f"p{level:g}_us"


def _run(place: Place, command: list[str]) -> tuple[str, Sample]:
    """What it printed; cpu_s that it used, and what Share reads."""
    share, before_s = Share(place.cores), _children_s()
    outcome = subprocess.run(
        ["taskset", "-c", str(place.cores.load), *command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if outcome.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {outcome.returncode}: {outcome.stderr.strip()}")
    own_s = _children_s() - before_s
    return outcome.stdout, share.read(own_s) | {"cpu_s": own_s}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
