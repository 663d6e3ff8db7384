"""One process a directory: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from control.store.records import StoreError


class Lock:
    """The lock of a directory, held from the start. Raise StoreError if another has it, OSError as files do."""

    __slots__ = ("_fd",)

    def __init__(self, directory: Path) -> None:
        # Never removed: whoever locked a file that was removed and one that is new would both be right.
        self._fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            self.release()
            raise StoreError(f"{directory}: in use by process {holder or 'unknown'}; one process can use it") from None
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        os.close(self._fd)
