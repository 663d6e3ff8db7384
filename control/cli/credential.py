"""The token that meshctl shows, and where it was taken from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from control.cli.failure import Failure

MAX_TOKEN_BYTES = 16 * 1024
DEFAULT_DATA_DIR = "~/.local/share/meshproxy"


class Credential(NamedTuple):
    """`token` is empty when there is none; `source` says where it was taken or looked for, never the token itself."""

    token: str
    source: str


def find_credential(token_file: Path | None) -> Credential:
    """Return the token of `token_file`, else of MESHCTL_TOKEN, else of the control plane's data directory.

    Raise Failure for a file that was named and cannot be used.
    """
    if token_file is not None:
        return Credential(_read(token_file), str(token_file))
    if token := os.environ.get("MESHCTL_TOKEN", "").strip():
        return Credential(_checked(token, "MESHCTL_TOKEN"), "MESHCTL_TOKEN")
    directory = os.environ.get("MESHCONTROL_DATA_DIR") or DEFAULT_DATA_DIR
    path = Path(directory).expanduser() / "token"
    try:
        is_there = path.exists()
    except OSError as error:
        raise Failure(f"token file {path}: {error.strerror or error}; name another by --token-file") from None
    if not is_there:
        return Credential("", f"{path}, which is not there")
    return Credential(_read(path), str(path))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise Failure(f"token file {path}: {error.strerror or error}") from None
    return _checked(data.decode("latin-1").strip(), f"token file {path}")


def _checked(token: str, source: str) -> str:
    """What goes into a header must be one line of visible ASCII."""
    if not token:
        raise Failure(f"{source}: is empty")
    if len(token) > MAX_TOKEN_BYTES or not (token.isascii() and token.isprintable()) or " " in token:
        raise Failure(f"{source}: holds no token; allowed: one line of visible ASCII")
    return token
