"""Label and field selectors, as lists and watches take them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_TERM = re.compile(r"\s*(?:[^,(]|\([^)]*\))+")
_SET = re.compile(r"([^\s]+)\s+(in|notin)\s+\(([^)]*)\)")
FIELDS = {
    "": ("metadata.name", "metadata.namespace"),
    "pods": ("spec.nodeName", "spec.serviceAccountName", "spec.restartPolicy", "status.phase", "status.podIP"),
    "services": ("spec.clusterIP", "spec.type"),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
}
"""What can be selected by, of all kinds and of each."""

Matches = Callable[[dict[str, Any]], bool]


class UnknownFieldError(Exception):
    """A field that this kind cannot be selected by; the argument is its name."""


def labels(selector: str) -> Matches:
    """A test of documents by their labels: `a=b,c!=d,e,!f,g in (h,i),j notin (k)`."""
    terms = [_label(term.strip()) for term in _TERM.findall(selector)]

    def matches(document: dict[str, Any]) -> bool:
        found = document["metadata"].get("labels") or {}
        return all(term(found) for term in terms)

    return matches


def fields(selector: str, plural: str) -> Matches:
    """A test of documents by fields: `metadata.name=x,status.phase!=Running`."""
    terms = [re.fullmatch(r"([^=!]+)(=|==|!=)(.*)", term) for term in selector.split(",")]
    wanted = [(term[1], term[2] != "!=", term[3]) for term in terms if term]
    for name, _, _ in wanted:
        if name not in (*FIELDS[""], *FIELDS.get(plural, ())):
            raise UnknownFieldError(name)

    def matches(document: dict[str, Any]) -> bool:
        return all((_at(document, name) == value) is is_equal for name, is_equal, value in wanted)

    return matches


def _label(term: str) -> Matches:
    if found := _SET.fullmatch(term):
        name, word, values = found[1], found[2], {value.strip() for value in found[3].split(",")}
        return lambda given: (given.get(name) in values) is (word == "in")
    if "!=" in term:
        name, _, value = term.partition("!=")
        return lambda given: given.get(name.strip()) != value.strip()
    if "=" in term:
        name, _, value = term.replace("==", "=").partition("=")
        return lambda given: given.get(name.strip()) == value.strip()
    if term.startswith("!"):
        return lambda given: term[1:].strip() not in given
    return lambda given: term in given


def _at(document: dict[str, Any], path: str) -> str:
    found: Any = document
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return "" if found is None else str(found)
