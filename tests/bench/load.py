"""The load generators, run on their core, and what a subject spent while they ran."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.place import HOST, ROOT, Place
from tests.bench.subjects import Subject

SCRIPT = Path(__file__).with_name("wrk.lua")
CONNECTIONS = 32

Sample = dict[str, float]


def closed_loop(place: Place, subject: Subject, seconds: float, variant: str, *arguments: str) -> Sample:
    """As many requests as 32 connections can make, by wrk.

    rps; failed (answers that were neither 2xx nor 3xx, and socket errors); cpu_us, the proxies' per request; busy, the
    share of their core that they used; p50_us and p99_us.
    """
    before_s = subject.cpu_s()
    command = [place.tools["wrk"], "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "-s", str(SCRIPT)]
    command += ["-H", f"Host: {HOST}", f"http://127.0.0.1:{subject.port}/", "--", variant, *arguments]
    sample = parse(_run(place, command))
    sample["rps"] = sample["requests"] / sample["duration_s"]
    return sample | _spent(subject, before_s, sample["requests"], sample["duration_s"])


def open_loop(place: Place, subject: Subject, seconds: float, rate: float, warm_s: float) -> Sample:
    """Requests at a fixed rate, by tests.bench.pace: its percentiles, failed, rps, cpu_us, busy."""
    before_s = subject.cpu_s()
    arguments = [str(subject.port), str(rate), str(seconds), str(warm_s)]
    sample: Sample = json.loads(_run(place, [sys.executable, "-m", "tests.bench.pace", *arguments]))
    duration_s = seconds + warm_s
    return sample | _spent(subject, before_s, rate * duration_s, duration_s)


def transfer(place: Place, subject: Subject, way: str, size_bytes: int) -> Sample:
    """One body by tests.bench.bulk: bytes_s; failed; busy."""
    before_s = subject.cpu_s()
    arguments = [str(subject.port), way, str(size_bytes)]
    result = json.loads(_run(place, [sys.executable, "-m", "tests.bench.bulk", *arguments]))
    sample = {"bytes_s": size_bytes / result["seconds"], "failed": result["failed"]}
    return sample | _spent(subject, before_s, 1, result["seconds"])


def parse(output: str) -> Sample:
    """The line that wrk.lua writes."""
    for line in output.splitlines():
        if line.startswith("RESULT "):
            sample: Sample = json.loads(line.removeprefix("RESULT "))
            return sample
    raise ValueError(f"wrk gave no result: {output!r}")


def _run(place: Place, command: list[str]) -> str:
    pinned = ["taskset", "-c", str(place.cores.load), *command]
    outcome = subprocess.run(pinned, capture_output=True, text=True, check=False, cwd=ROOT)
    if outcome.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {outcome.returncode}: {outcome.stderr.strip()}")
    return outcome.stdout


def _spent(subject: Subject, before_s: float, requests: float, duration_s: float) -> Sample:
    if not subject.processes:
        return {}
    cpu_s = subject.cpu_s() - before_s
    return {"cpu_us": cpu_s / max(requests, 1) * 1e6, "busy": cpu_s / duration_s}
