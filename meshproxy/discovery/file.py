"""A snapshot file, read at the start and whenever it changes."""

from __future__ import annotations

import os
from pathlib import Path

from meshproxy.wire.problem import Problem
from meshproxy.wire.snapshot import MAX_BYTES, SnapshotError


class SnapshotFile:
    """Remembers what it has read, so that `is_changed` costs one stat."""

    __slots__ = ("_path", "_seen")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def is_changed(self) -> bool:
        """Whether the file is another than the one read last; a missing file is no change."""
        mark = self._mark()
        return mark is not None and mark != self._seen

    def read(self) -> bytes:
        """Read it, up to just over the bound. Raises SnapshotError if it cannot be read."""
        try:
            self._seen = self._mark()
            with self._path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except OSError as error:
            raise SnapshotError([Problem("", "", f"{self._path} cannot be read: {error.strerror}")]) from None

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
