"""What Prometheus expects of any process, under the names that its client libraries use, read from /proc.

Not by prometheus_client's collectors: importing any module of that package costs 4.4 MB of resident memory (measured),
a tenth of what the sidecar may use, for these eight values.
"""

from __future__ import annotations

import gc
import os
import platform
import resource
from collections.abc import Iterable
from pathlib import Path

from meshproxy.metrics.slots import Registry

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_NONE: tuple[str, ...] = ()


def register(registry: Registry) -> None:
    """Add process_* and python_* families, each read at the scrape."""
    counter, gauge = registry.counter, registry.gauge
    counter("process_cpu_seconds_total", "User and system CPU time.", read=_cpu)
    gauge("process_resident_memory_bytes", "Resident memory.", read=_resident)
    gauge("process_virtual_memory_bytes", "Virtual memory.", read=_virtual)
    gauge("process_open_fds", "Open file descriptors.", read=_descriptors)
    gauge("process_max_fds", "The limit of open file descriptors.", read=_descriptor_limit)
    gauge("process_start_time_seconds", "Unix time of the start.").set(_started_s())
    gauge("python_info", "The interpreter.", ("implementation", "version")).set(
        1, platform.python_implementation(), platform.python_version()
    )
    counter("python_gc_collections_total", "Garbage collections.", ("generation",), read=_collections)


def _cpu() -> Iterable[tuple[tuple[str, ...], float]]:
    times = os.times()
    return [(_NONE, times.user + times.system)]


def _resident() -> Iterable[tuple[tuple[str, ...], float]]:
    return [(_NONE, _memory_pages(1) * _PAGE_BYTES)]


def _virtual() -> Iterable[tuple[tuple[str, ...], float]]:
    return [(_NONE, _memory_pages(0) * _PAGE_BYTES)]


def _memory_pages(index: int) -> int:
    return int(Path("/proc/self/statm").read_bytes().split()[index])


def _descriptors() -> Iterable[tuple[tuple[str, ...], float]]:
    # Since Linux 6.2 the directory's size is the number; listing ten thousand takes milliseconds.
    count = Path("/proc/self/fd").stat().st_size or sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1
    return [(_NONE, count)]


def _descriptor_limit() -> Iterable[tuple[tuple[str, ...], float]]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [(_NONE, float("inf") if soft == resource.RLIM_INFINITY else soft)]


def _collections() -> Iterable[tuple[tuple[str, ...], float]]:
    return [((str(generation),), stats["collections"]) for generation, stats in enumerate(gc.get_stats())]


def _started_s() -> float:
    # proc(5): the command, field 2, may hold anything, so count from its closing parenthesis; starttime is field 22.
    ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])
    for line in Path("/proc/stat").read_bytes().splitlines():
        if line.startswith(b"btime "):
            return int(line.split()[1]) + ticks / _TICKS_PER_S
    raise OSError("/proc/stat has no btime")
