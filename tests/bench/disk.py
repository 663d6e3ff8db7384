"""The file system that a figure of durable writes belongs to."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.bench.pace import percentile

BLOCK_BYTES = 4096
WRITES = 300


def sync_s(directory: Path, writes: int = WRITES) -> list[float]:
    """How long it takes to append a block of 4 KiB to a file there and to have it on the disk; sorted."""
    path = directory / "sync"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return sorted(_append(fd) for _ in range(writes))
    finally:
        os.close(fd)
        path.unlink()


def _append(fd: int) -> float:
    block, began = os.urandom(BLOCK_BYTES), time.monotonic()
    os.write(fd, block)
    os.fsync(fd)
    return time.monotonic() - began


def describe(directory: Path) -> str:
    """As in `ext4 on /dev/vda, fsync of 4 KiB 0.25 ms (99 %: 2.00)`."""
    times = sync_s(directory)
    half, most = (percentile(times, share) * 1e3 for share in (50, 99))
    return f"{file_system(directory)}, fsync of 4 KiB {half:.2f} ms (99 %: {most:.2f})"


def file_system(directory: Path, mounts: str = "/proc/self/mounts") -> str:
    """Its kind and its device."""
    place, found, longest = directory.resolve(), "an unknown file system", 0
    for line in Path(mounts).read_text().splitlines():
        device, point, kind, *_ = line.split()
        point = point.replace("\\040", " ")
        # Of two on one point the later one is seen.
        if place.is_relative_to(point) and len(point) >= longest:
            found, longest = f"{kind} on {device}", len(point)
    return found
