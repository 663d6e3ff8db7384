"""What the filters of a rule or of a backend do to one request, told in words; done by the sidecar's own code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from meshproxy.policy.message import Field
from meshproxy.policy.rule import Filters
from meshproxy.policy.verdict import Request


class Effects(NamedTuple):
    """`fields` are the request's afterwards; `location` is where a redirect leads, empty without one."""

    words: list[str]
    fields: Sequence[Field]
    location: str


def effects_of(filters: Filters, request: Request, authority: bytes, prefix: bytes | None) -> Effects:
    """Apply the filters in the order in which the sidecar does. `prefix` as in policy.route.Match."""
    prefix = prefix or b""
    if filters.redirect is not None:
        location = _text(filters.redirect.location(authority, request.path, request.query, prefix))
        return Effects([f"redirect: {filters.redirect.status} {location}"], request.fields, location)
    words: list[str] = []
    fields = list(request.fields)
    if filters.rewrite is not None:
        target = filters.rewrite.target(request.path, request.query, prefix)
        if target is not None:
            words.append(f"path: {_text(target)}")
        if filters.rewrite.hostname:
            words.append(f"Host: {_text(filters.rewrite.hostname)}")
    if filters.request_edit is not None:
        edited = filters.request_edit.apply(fields)
        words.extend(f"request header {change}" for change in _changes(fields, edited))
        fields = edited
    if filters.response_edit is not None:
        written = filters.response_edit.apply([])
        gone = filters.response_edit.removed - {entry[0] for entry in written}
        words.extend(f"response header {change}" for change in _changes([], written))
        words.extend(f"response header {_text(name)} is removed" for name in sorted(gone))
    return Effects(words, fields, "")


def _changes(before: list[Field], after: list[Field]) -> list[str]:
    """Say what became of each field: those that are new or have other values, then those that are gone."""
    old, new = _values(before), _values(after)
    changed = [f"{_text(name)}: {_text(value)}" for name, value in new.items() if old.get(name) != value]
    return changed + [f"{_text(name)} is removed" for name in old if name not in new]


def _values(fields: list[Field]) -> dict[bytes, bytes]:
    joined: dict[bytes, bytes] = {}
    for entry in fields:
        joined[entry[0]] = joined[entry[0]] + b", " + entry[2] if entry[0] in joined else entry[2]
    return joined


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
