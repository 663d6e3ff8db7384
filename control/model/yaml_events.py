"""YAML text to JSON values, from the parser's events: strict, bounded, without recursion.

As JSON schema has it (YAML 1.2 core): only `true` and `false` are booleans, times stay text, numbers are decimal. A
key that stands twice is an error; merge keys (`<<`) and aliases work, but what they add up to is bounded, so that a
few lines cannot stand for a billion nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite
from typing import Any, NamedTuple

import yaml

MAX_DEPTH = 100
MAX_NODES = 5_000_000
"""The nodes of one file, each alias counted as what it stands for."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,19}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_TAG = "tag:yaml.org,2002:"


class YAMLError(ValueError):
    """Text that is not taken; the message says where. `document` counts from 1."""

    def __init__(self, document: int, message: str) -> None:
        self.document = document
        super().__init__(message)


class _Frame:
    """A collection that is being read."""

    __slots__ = ("anchor", "is_map", "items", "line", "start")

    def __init__(self, is_map: bool, anchor: str | None, line: int, start: int) -> None:
        self.is_map = is_map
        self.anchor = anchor
        self.line = line
        self.start = start  # the count of nodes when it began
        self.items: list[tuple[Any, str, int]] = []  # value, its text when a scalar, line


class _Anchor(NamedTuple):
    value: Any
    text: str
    nodes: int


class _Reader:
    """Builds the value of one document after the other."""

    __slots__ = ("anchors", "document", "frames", "max_nodes", "nodes")

    def __init__(self, max_nodes: int) -> None:
        self.max_nodes = max_nodes
        self.document = 0
        self.nodes = 0
        self.frames: list[_Frame] = []
        self.anchors: dict[str, _Anchor] = {}

    def fail(self, line: int, message: str) -> YAMLError:
        return YAMLError(self.document, f"line {line}: {message}")

    def count(self, nodes: int, line: int) -> None:
        self.nodes += nodes
        if self.nodes > self.max_nodes:
            raise self.fail(line, f"the file stands for more than {self.max_nodes} nodes, aliases included")

    def begin(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        line = _line(event)
        if len(self.frames) >= MAX_DEPTH:
            raise self.fail(line, f"nested too deeply; allowed: {MAX_DEPTH} levels")
        is_map = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in {None, "!", f"{_TAG}{'map' if is_map else 'seq'}"}:
            raise self.fail(line, f"tag {event.tag[:80]!r} is not allowed")
        self.count(1, line)
        self.frames.append(_Frame(is_map, event.anchor, line, self.nodes - 1))

    def end(self) -> tuple[Any, str, int]:
        frame = self.frames.pop()
        value = self.mapping(frame) if frame.is_map else [item for item, _, _ in frame.items]
        if frame.anchor is not None:
            self.anchors[frame.anchor] = _Anchor(value, "", self.nodes - frame.start)
        return value, "", frame.line

    def mapping(self, frame: _Frame) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[Any] = []
        for (key, text, line), (value, _, _) in zip(frame.items[::2], frame.items[1::2], strict=True):
            if isinstance(key, (dict, list)):
                raise self.fail(line, "a key is a collection; allowed: text")
            if text == "<<":
                merged += value if isinstance(value, list) else [value]
            elif text in result:
                raise self.fail(line, f"key {text[:80]!r} stands twice")
            else:
                result[text] = value
        for source in merged:
            if not isinstance(source, dict):
                raise self.fail(frame.line, "'<<' merges something that is no mapping")
            self.count(len(source), frame.line)
            for text, value in source.items():
                result.setdefault(text, value)
        return result

    def scalar(self, event: yaml.ScalarEvent) -> tuple[Any, str, int]:
        line = _line(event)
        self.count(1, line)
        text = event.value
        tag = (event.tag or "").removeprefix(_TAG)
        if tag in {"", "!"}:
            value = _resolve(text) if event.implicit[0] and tag == "" else text
        elif tag == "str":
            value = text
        elif tag in {"int", "float", "bool", "null"}:
            value = _resolve(text)
        else:
            raise self.fail(line, f"tag {tag[:80]!r} is not allowed")
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchor(value, text, 1)
        return value, text, line

    def alias(self, event: yaml.AliasEvent) -> tuple[Any, str, int]:
        line = _line(event)
        name = event.anchor or ""
        anchor = self.anchors.get(name)
        if anchor is None:
            raise self.fail(line, f"alias {name[:80]!r} refers to nothing before it")
        self.count(anchor.nodes, line)
        return anchor.value, anchor.text, line


def read_yaml(text: str, max_nodes: int = MAX_NODES) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each document, empty ones left out. Raise YAMLError where the text is not taken."""
    reader = _Reader(max_nodes)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                reader.document += 1
                reader.anchors.clear()
                continue
            if isinstance(event, yaml.ScalarEvent):
                item = reader.scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                item = reader.alias(event)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                reader.begin(event)
                continue
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                item = reader.end()
            else:
                continue
            if reader.frames:
                reader.frames[-1].items.append(item)
            elif item[0] is not None:
                yield reader.document, item[0]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise YAMLError(max(reader.document, 1), f"{place}not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise YAMLError(max(reader.document, 1), f"not YAML: {' '.join(str(error).split())}") from None


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _resolve(text: str) -> Any:
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    # A number that is too great stays text: infinity could not be written as JSON.
    return number if _FLOAT.fullmatch(text) and isfinite(number := float(text)) else text
