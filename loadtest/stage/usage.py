"""What the processes of a subject used of the machine."""

from __future__ import annotations

import os
from collections.abc import Sequence

import psutil

from loadtest.process import Child
from loadtest.results.model import Usage


class Meter:
    """Time and memory of processes, from when each was first seen; one that ended counts with what was seen last.

    Of one that was started again by its name the time of all counts, and the memory of the last.
    """

    def __init__(self) -> None:
        self._began: dict[int, float] = {}
        self._seen: dict[int, Usage] = {}

    def look(self, children: Sequence[Child]) -> None:
        for child in children:
            try:
                process = psutil.Process(child.pid)
                with process.oneshot():
                    if process.ppid() != os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                        continue  # it has ended: that number is another process's, or has no memory any more
                    times = process.cpu_times()
                    rss = process.memory_info().rss
            except psutil.Error:
                continue
            spent = times.user + times.system
            if child.pid not in self._began:
                self._began[child.pid] = spent
                self._forget_memory(child.name)
            began = self._began[child.pid]
            self._seen[child.pid] = Usage(name=child.name, cpu_s=spent - began, rss_bytes=rss)

    def _forget_memory(self, name: str) -> None:
        for pid, seen in self._seen.items():
            if seen.name == name:
                self._seen[pid] = Usage(name=name, cpu_s=seen.cpu_s, rss_bytes=0)

    def usage(self) -> list[Usage]:
        return list(self._seen.values())
