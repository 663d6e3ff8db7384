"""Comparisons in files: JSON that is either whole or not there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from loadtest.results.model import SCHEMA, Comparison

MOST_BYTES = 1024 * 1024 * 1024


class FileError(Exception):
    """The file cannot be had, or is not what it should be. The message names it, and says why."""


class _Head(msgspec.Struct):
    schema: int
    results: msgspec.Raw


def write(comparison: Comparison, path: Path) -> None:
    """As `put` does it."""
    put(encode(comparison), path)


def encode(comparison: Comparison) -> bytes:
    """What `read` reads."""
    return msgspec.json.encode(comparison)


def put(data: bytes, path: Path) -> None:
    """Replaces the file at once: whoever reads it, or ends this process meanwhile, finds the old one or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise FileError(f"{path}: cannot be written: {error.strerror}") from None


def _sync(folder: Path) -> None:
    """The new name itself is on the disk, too."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def read(path: Path) -> Comparison:
    """What `write` wrote, by this version or another of the same schema."""
    data = _bytes(path)
    try:
        head = msgspec.json.decode(data, type=_Head)
    except msgspec.ValidationError:
        raise FileError(f"{path}: JSON, but no result of meshload") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FileError(f"{path}: not JSON: {error}") from None
    if head.schema != SCHEMA:
        hint = "run the scenario again" if head.schema < SCHEMA else "a newer meshload reads it"
        raise FileError(f"{path}: a result of schema {head.schema}, and this meshload reads {SCHEMA}: {hint}")
    try:
        return msgspec.json.decode(data, type=Comparison)
    except (msgspec.DecodeError, RecursionError) as error:
        raise FileError(f"{path}: not a result as meshload writes it: {error}") from None


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise FileError(f"{path}: larger than {MOST_BYTES} bytes, which no result is")
    return data
