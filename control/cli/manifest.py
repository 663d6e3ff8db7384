"""Manifests: files, folders and standard input to JSON documents, with the place of each."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from control.model.json_text import JSONError, read_json
from control.model.yaml_events import YAMLError, read_yaml

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_DOCUMENTS = 200_000
"""The documents of all files together, the items of lists included."""
SUFFIXES = (".yaml", ".yml", ".json")


class Document(NamedTuple):
    """One object's JSON value, and where it stands: the `item`th of a list if it is in one, else 0."""

    source: str
    number: int
    item: int
    value: Any

    @property
    def place(self) -> str:
        item = f" item {self.item}" if self.item else ""
        return f"{self.source}: document {self.number}{item}"


class ManifestError(ValueError):
    """A file that cannot be read; the message begins with its name."""


def sources(paths: list[str]) -> list[str]:
    """Replace folders by the manifests in them, sorted by name. Raise ManifestError for what does not exist."""
    result: list[str] = []
    for text in paths:
        path = Path(text)
        if text != "-" and path.is_dir():
            found = sorted(str(item) for item in path.iterdir() if item.suffix in SUFFIXES and item.is_file())
            if not found:
                raise ManifestError(f"{text}: no manifest in this folder; allowed: {', '.join(SUFFIXES)}")
            result += found
        else:
            result.append(text)
    for text, count in Counter(result).items():
        if count > 1:
            raise ManifestError(f"{text}: given twice")
    return result


def read(source: str) -> Iterator[Document]:
    """Yield the objects of one file (`-`: standard input), lists taken apart. Raise ManifestError at what is no YAML.

    Documents before the error have then been yielded.
    """
    name = "standard input" if source == "-" else source
    try:
        text = _bytes(source).decode("utf-8-sig")
    except OSError as error:
        raise ManifestError(f"{name}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"{name}: not UTF-8, at byte {error.start}") from None
    for number, value in _json(name, text) if source.endswith(".json") else _yaml(name, text):
        yield from _objects(name, number, value)


def _bytes(source: str) -> bytes:
    if source == "-":
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    else:
        with Path(source).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ManifestError(f"{source}: larger than {MAX_FILE_BYTES} bytes")
    return data


def _yaml(name: str, text: str) -> Iterator[tuple[int, Any]]:
    try:
        yield from read_yaml(text)
    except YAMLError as error:
        raise ManifestError(f"{name}: document {error.document}: {error}") from None


def _json(name: str, text: str) -> Iterator[tuple[int, Any]]:
    try:
        yield 1, read_json(text)
    except JSONError as error:
        raise ManifestError(f"{name}: document 1: {error}") from None


def _objects(name: str, number: int, value: Any) -> Iterator[Document]:
    """Take a List (of whatever kind) apart; its items may leave out what the list's kind says."""
    kind = value.get("kind") if isinstance(value, dict) else None
    items = value.get("items") if isinstance(value, dict) else None
    if not isinstance(kind, str) or not kind.endswith("List") or not isinstance(items, list):
        yield Document(name, number, 0, value)
        return
    inherited = {"apiVersion": value.get("apiVersion"), "kind": kind.removesuffix("List")} if kind != "List" else {}
    for i, item in enumerate(items, 1):
        yield Document(name, number, i, {**inherited, **item} if isinstance(item, dict) else item)
