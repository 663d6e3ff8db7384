"""Where a call keeps what it found."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from loadtest.cli.failure import Failure
from loadtest.results.file import FileError, put


class Folder:
    """A new one in `out`, called by the time and a name. `kept` are its files, as far as they are up to date.

    What cannot be written is told, and ends nothing: runs may have taken long, and can still be shown. Failure: there
    can be no folder.
    """

    def __init__(self, out: Path, name: str, tell: Callable[[str], None]) -> None:
        self.kept: list[Path] = []
        self._tell = tell
        self._path = _made(out, f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}")

    def put(self, name: str, data: bytes) -> None:
        path = self._path / name
        if path in self.kept:
            self.kept.remove(path)
        try:
            put(data, path)
        except FileError as error:
            self._tell(str(error))
        else:
            self.kept.append(path)


def _made(out: Path, name: str) -> Path:
    for number in itertools.count(1):
        path = out / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:  # another call of the same second
            continue
        except OSError as error:
            raise Failure(f"--out {out}: no folder can be made in it: {error.strerror}") from None
        else:
            return path
    raise AssertionError
