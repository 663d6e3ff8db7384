"""The secret that clients of the API show: a file beside the database that only its owner can read."""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

from control.store.records import StoreError

NAME = "token"
MAX_BYTES = 4096
_ALLOWED = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")  # b64token (RFC 6750 2.1)


def token(path: Path) -> str:
    """Return the token in a file, which is made if it is not there. Raise StoreError as `read` does."""
    if not path.exists():
        _create(path)
    return read(path)


def read(path: Path) -> str:
    """Return the token in a file. Raise StoreError if others may read the file too, or if it holds no token."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(f"{path}: is no file")
            if rights := stat.S_IMODE(status.st_mode) & 0o077:
                wide = f"others have rights to it ({rights:03o})"
                raise StoreError(f"{path}: {wide}; change the token if they may have read it, and chmod it to 600")
            text = file.read(MAX_BYTES + 1).decode("ascii", "replace").strip()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    if len(text) > MAX_BYTES or not _ALLOWED.fullmatch(text):
        raise StoreError(f"{path}: holds no token; allowed: one line of 16 or more of A-Z a-z 0-9 . _ ~ + / -")
    return text


def _create(path: Path) -> None:
    """Make the file whole or not at all."""
    draft = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(f"{secrets.token_urlsafe(32)}\n")
        draft.rename(path)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
