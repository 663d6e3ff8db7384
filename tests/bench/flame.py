"""Where the sidecar's time goes: py-spy on the Python side, perf on the native and the kernel's, under wrk's load."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.load import closed_loop
from tests.bench.place import Place
from tests.bench.report import grouped
from tests.bench.subjects import Subject

SAMPLES_PER_S = 400
TOP = 40
LINE_NUMBER = re.compile(r":\d+\)$")
"""The end of a frame, left out so that whole functions are compared."""


def profile(place: Place, subject: Subject, variant: str, seconds: float, directory: Path) -> Iterator[str]:
    """Yield tables of the functions with the most time of their own; leave stacks and flame graphs in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for process in subject.processes:
        suffix = f"-{process.name}" if len(subject.processes) > 1 else ""
        if "py-spy" in place.tools:
            with _load(place, subject, variant, seconds * 2 + 3):
                stacks = _py_spy(place, process.pid, seconds, "raw", directory / f"stacks{suffix}.txt")
                flame = _py_spy(place, process.pid, seconds, "flamegraph", directory / f"flame{suffix}.svg")
            yield f"{process.name}: Python functions by own time ({flame})\n{own_time(stacks.read_text())}"
        if "perf" in place.tools:
            with _load(place, subject, variant, seconds + 3):
                yield f"{process.name}: native functions by own time\n{_perf(place, process.pid, seconds, directory)}"


def own_time(stacks: str) -> str:
    """From collapsed stacks (`frame;frame;... count`): share of the samples on top of the stack, and anywhere on it."""
    own: Counter[str] = Counter()
    anywhere: Counter[str] = Counter()
    total = 0
    for line in stacks.splitlines():
        trace, _, count = line.rpartition(" ")
        frames = [LINE_NUMBER.sub(")", frame) for frame in trace.split(";")]
        own[frames[-1]] += int(count)
        total += int(count)
        for frame in set(frames):
            anywhere[frame] += int(count)
    if not total:
        return "  no samples"
    lines = [f"  {'own %':>6}  {'in it %':>7}  function"]
    for frame, samples in own.most_common(TOP):
        lines.append(f"  {samples / total * 100:6.1f}  {anywhere[frame] / total * 100:7.1f}  {frame}")
    return "\n".join([*lines, f"  {grouped(total)} samples"])


@contextmanager
def _load(place: Place, subject: Subject, variant: str, seconds: float) -> Iterator[None]:
    """Load from here on until the block and `seconds` have both passed."""
    worker = threading.Thread(target=closed_loop, args=(place, subject, seconds, variant))
    worker.start()
    try:
        yield
    finally:
        worker.join()


def _py_spy(place: Place, pid: int, seconds: float, form: str, path: Path) -> Path:
    # Without --nonblocking the target is stopped for every sample: its stacks are whole, and it is a little slower.
    command = [place.tools["py-spy"], "record", "--pid", str(pid), "--duration", f"{seconds:.0f}"]
    command += ["--rate", str(SAMPLES_PER_S), "--format", form, "--output", str(path)]
    _call(place, command)
    return path


def _perf(place: Place, pid: int, seconds: float, directory: Path) -> str:
    data = directory / "perf.data"
    record = [place.tools["perf"], "record", "-q", "-F", "999", "-o", str(data), "-p", str(pid)]
    _call(place, [*record, "--", "sleep", f"{seconds:.0f}"])
    report = [place.tools["perf"], "report", "-i", str(data), "--stdio", "--no-children", "-g", "none"]
    report += ["--percent-limit", "0.5", "--sort"]
    lines = [*_call(place, [*report, "dso"]).splitlines(), *_call(place, [*report, "dso,symbol"]).splitlines()]
    return "\n".join(f"  {line.strip()}" for line in lines if line.strip() and not line.startswith("#"))


def _call(place: Place, command: list[str]) -> str:
    pinned = ["taskset", "-c", str(place.cores.load), *command]
    outcome = subprocess.run(pinned, capture_output=True, text=True, check=False)
    if outcome.returncode:
        print(f"{' '.join(command)}: {outcome.stderr.strip()}", file=sys.stderr)
    return outcome.stdout
