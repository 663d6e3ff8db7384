"""The load generators, run on their core, and what a subject spent while they ran."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.place import HOST, ROOT, Place, core_busy_s
from tests.bench.plane import Plane
from tests.bench.subjects import Subject

SCRIPT = Path(__file__).with_name("wrk.lua")
CONNECTIONS = 32

Sample = dict[str, float]


@dataclass(frozen=True)
class Meter:
    """What the proxies, and everybody on their core, had used when it was made."""

    place: Place
    subject: Subject
    own_s: float
    core_s: float
    made_at: float

    @classmethod
    def start(cls, place: Place, subject: Subject) -> Meter:
        return cls(place, subject, subject.cpu_s(), core_busy_s(place.cores.proxy), time.monotonic())

    def read(self, requests: float) -> Sample:
        """Since then: cpu_us, the proxies' per request; busy, their share of the core; others, everybody else's."""
        if not self.subject.processes:
            return {}
        own_s = self.subject.cpu_s() - self.own_s
        core_s = core_busy_s(self.place.cores.proxy) - self.core_s
        elapsed_s = time.monotonic() - self.made_at
        # The core's clock has ticks of 10 ms, the processes' has not: the difference may fall below nothing.
        others = max(core_s - own_s, 0.0) / elapsed_s
        return {"cpu_us": own_s / max(requests, 1) * 1e6, "busy": own_s / elapsed_s, "others": others}


def closed_loop(place: Place, subject: Subject, seconds: float, variant: str, *arguments: str) -> Sample:
    """As many requests as 32 connections can make, by wrk.

    rps; failed (answers that were neither 2xx nor 3xx, and socket errors); p50_us and p99_us; what Meter reads.
    """
    command = [place.tools["wrk"], "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "-s", str(SCRIPT)]
    command += ["-H", f"Host: {HOST}", f"http://127.0.0.1:{subject.port}/", "--", variant, *arguments]
    meter = Meter.start(place, subject)
    sample = parse(_run(place, command))
    sample["rps"] = sample["requests"] / sample["duration_s"]
    return sample | meter.read(sample["requests"])


def open_loop(place: Place, subject: Subject, seconds: float, rate: float, warm_s: float) -> Sample:
    """Requests at a fixed rate, by tests.bench.pace: its percentiles, failed, rps; what Meter reads."""
    meter = Meter.start(place, subject)
    sample: Sample = json.loads(_python(place, "tests.bench.pace", subject.port, rate, seconds, warm_s))
    return sample | meter.read(rate * (seconds + warm_s))


def transfer(place: Place, subject: Subject, way: str, size_bytes: int) -> Sample:
    """One body by tests.bench.bulk: bytes_s; failed; what Meter reads."""
    meter = Meter.start(place, subject)
    result = json.loads(_python(place, "tests.bench.bulk", subject.port, way, size_bytes))
    sample = {"bytes_s": size_bytes / result["seconds"], "failed": result["failed"]}
    return sample | meter.read(1)


def writes(place: Place, plane: Plane, connections: int, seconds: float) -> Sample:
    """Route changes by tests.bench.writers: its rps, percentiles, failed; what Meter reads."""
    meter = Meter.start(place, plane)
    sample: Sample = json.loads(
        _python(place, "tests.bench.writers", plane.port, plane.token_file, connections, seconds)
    )
    return sample | meter.read(sample["requests"])


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


def _python(place: Place, module: str, *arguments: object) -> str:
    return _run(place, [sys.executable, "-m", module, *map(str, arguments)])
