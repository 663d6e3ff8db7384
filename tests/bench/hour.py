"""What a run's parent keeps of an hour of reports, fed to it as fast as it takes them.

`python -m tests.bench.hour RATE SECONDS` makes the reports that one generator process would send for RATE requests per
second, four a second, and what the origin would tell of them; passes them on as lines of JSON, as a run gets them; and
prints one line of JSON: {seconds of the run: resident bytes}, at the beginning, at every tenth minute and at the end.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count
from random import Random

import msgspec
import psutil

from loadtest.client.tally import rounded
from loadtest.messages import CHUNK, SEEN_SUCCESS, Cell, Executions, Outcomes, Report
from loadtest.results.ledger import Reconciler
from loadtest.results.sums import Sums
from loadtest.scenario.figures import bin_width
from loadtest.scenario.load import parse
from tests.bench.meshload import lasting, scenario

REPORT_S = 0.25
NOTED_S = 600.0
MEDIAN_US = 2_000
SPREAD = 0.8
"""Sigma of the latencies' logarithm: the longest are some thirty times the median."""
LATE_US = 50
DRAWN = 100_000
"""So many latencies are drawn once, and reports are drawn from them."""
_ONCE = bytes([1]) * CHUNK


def reports(rate: int, bin_s: float, rng: Random) -> Iterator[tuple[float, Report]]:
    """Reports without end, each with the moment at which it comes; every request of it is a success."""
    each = int(rate * REPORT_S)
    latencies = [rounded(int(MEDIAN_US * rng.lognormvariate(0.0, SPREAD))) for _ in range(DRAWN)]
    lateness = [rounded(int(rng.expovariate(1 / LATE_US))) for _ in range(DRAWN)]
    for number in count():
        now_s = (number + 1) * REPORT_S
        took = dict(Counter(rng.choices(latencies, k=each)))
        late = dict(Counter(rng.choices(lateness, k=each)))
        cell = Cell(0, int(number * REPORT_S / bin_s), {"200": each}, took, took)
        full = range(number * each // CHUNK, (number + 1) * each // CHUNK)
        chunks = [Outcomes(index, bytes([SEEN_SUCCESS]) * CHUNK) for index in full]
        yield now_s, Report([cell], late, chunks, open_connections=32, waiting=0, cpu_s=now_s / 2)


def feed(rate: int, seconds: float) -> dict[int, int]:
    """Resident bytes of this process, by seconds of the run."""
    meant = parse(scenario({"phases": [{"for": lasting(seconds), "rate": f"{rate}/s"}]}))
    sums, ledger, process = Sums(meant, bin_width(seconds)), Reconciler("bench"), psutil.Process()
    encode, decode = msgspec.json.encode, msgspec.json.Decoder(Report).decode
    found = {0: process.memory_info().rss}
    for now_s, made in reports(rate, sums.bin_s, Random(1)):
        report = decode(encode(made))
        for cell in report.cells:
            sums.add(cell)
        sums.add_lateness(report.lateness)
        for outcomes in report.chunks:
            ledger.saw(0, outcomes, now_s)
        if due := ledger.due(now_s):
            ledger.took(due, [Executions(worker, index, _ONCE, _ONCE) for worker, index in due])
        sums.live(now_s)
        if now_s % NOTED_S == 0 or now_s >= seconds:
            found[int(now_s)] = process.memory_info().rss
        if now_s >= seconds:
            return found
    raise AssertionError("reports do not end")


if __name__ == "__main__":
    print(json.dumps(feed(int(sys.argv[1]), float(sys.argv[2]))))
