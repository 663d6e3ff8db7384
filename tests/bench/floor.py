"""What the machine itself is late by: a timer of the kernel and nothing else, at the moments a load's requests are due.

`python -m tests.bench.floor` reads the text of a scenario from its standard input, wakes up when each request of its
open loop would be due, and prints one line of JSON: the lateness of every moment as {microseconds: count}, and the
seconds of a processor that this took.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterable

from loadtest import timerfd
from loadtest.client.plan import plan
from loadtest.client.tally import rounded
from loadtest.messages import Work
from loadtest.scenario.load import parse

LEAD_S = 0.2


def wake(moments_s: Iterable[float]) -> dict[int, int]:
    """Sleep until each moment of CLOCK_MONOTONIC: {microseconds late: how often}, rounded as meshload rounds them."""
    fd = timerfd.create()
    os.set_blocking(fd, True)
    expire, clock = timerfd.setter(fd), time.monotonic
    late: dict[int, int] = {}
    for moment_s in moments_s:
        expire(moment_s)
        os.read(fd, 8)
        by_us = rounded(int((clock() - moment_s) * 1e6))
        late[by_us] = late.get(by_us, 0) + 1
    os.close(fd)
    return late


def main() -> None:
    text = sys.stdin.read()
    meant = parse(text)
    unused = dict.fromkeys(meant.origins, "unused")
    starts = plan(
        Work(text, "floor", 0, 1, {name: ["127.0.0.1:9"] for name in unused}, unused, bin_s=1.0), meant
    ).starts()
    gc.disable()
    before_s, at_s = time.process_time(), time.monotonic() + LEAD_S
    late = wake(at_s + start_s for start_s, _ in starts)
    print(json.dumps({"late": late, "cpu_s": time.process_time() - before_s}))


if __name__ == "__main__":
    main()
