"""Certificates, keys and tokens: in files that are read anew, or as they stand in a kubeconfig."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from control.kube.failure import SettingsError

MAX_BYTES = 1 << 20
"""Of one such file; a bundle of all public authorities is a quarter of it."""


class Material:
    """Bytes with a name for errors: `FILE: user admin: client-key`."""

    __slots__ = ("_data", "_path", "label")

    def __init__(self, label: str, path: Path | None, data: bytes = b"") -> None:
        self.label = label
        self._path = path
        self._data = data

    @classmethod
    def of_base64(cls, label: str, text: str) -> Material:
        try:
            data = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            raise SettingsError(f"{label}: is no base64") from None
        return cls(label, None, data)

    def read(self) -> bytes:
        """Return what it is now, never nothing. Raise SettingsError."""
        data = self._data if self._path is None else read_file(self._path, self.label, MAX_BYTES)
        if not data.strip():
            raise SettingsError(f"{self.label}: {self._path or 'it'} is empty")
        return data


def read_file(path: Path, label: str, most: int) -> bytes:
    """Return a file's content; `label` says who names it. Raise SettingsError."""
    prefix = f"{label}: " if label else ""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SettingsError(f"{prefix}{path}: cannot be read: {why}") from None
    if len(data) > most:
        raise SettingsError(f"{prefix}{path}: more than {most} bytes")
    return data
