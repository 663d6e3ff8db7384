"""Label and field selectors (Kubernetes: "Labels and Selectors", "Field Selectors")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from meshproxy.wire.names import is_subdomain

MAX_REQUIREMENTS = 64
FIELDS = ("metadata.name", "metadata.namespace")

_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_REQUIREMENT = re.compile(
    rf"\s*(?:!\s*(?P<absent>{_KEY})"
    rf"|(?P<key>{_KEY})(?:"
    r"\s*(?P<equals>==?|!=)\s*(?P<value>[^\s,()!=<>]*)"
    r"|\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)"
    r"|\s*(?P<order>[<>])\s*(?P<number>[0-9]{1,18})"
    r")?)\s*(?:,(?=.)|$)",
    re.DOTALL,
)
_LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_NUMBER = re.compile(r"-?[0-9]{1,18}")


class SelectorError(ValueError):
    """A selector that cannot be understood; the message says where."""


class Requirement(NamedTuple):
    """What a label has to be. `operator`: in, notin, exists, absent, `<` or `>`."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def is_met(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels fulfil this. What is not there is in no set, so it fulfils `notin`."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
        if value is None or _NUMBER.fullmatch(value) is None:
            return False
        (bound,) = self.values
        return int(value) < int(bound) if self.operator == "<" else int(value) > int(bound)


def matches(requirements: tuple[Requirement, ...], labels: Mapping[str, str]) -> bool:
    return all(requirement.is_met(labels) for requirement in requirements)


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """Parse a labelSelector; nothing selects everything. Raise SelectorError."""
    requirements = _parse(text)
    for requirement in requirements:
        prefix, slash, name = requirement.key.rpartition("/")
        if not _LABEL_NAME.fullmatch(name) or (slash and not is_subdomain(prefix)):
            raise SelectorError(f"{requirement.key[:80]!r} is no label's name")
        for value in requirement.values:
            if not _LABEL_VALUE.fullmatch(value):
                raise SelectorError(f"{value[:80]!r} is no label's value")
    return requirements


def parse_fields(text: str) -> tuple[Requirement, ...]:
    """Parse a fieldSelector, of which only FIELDS are known, with `=`, `==` and `!=`. Raise SelectorError."""
    requirements = _parse(text)
    for requirement in requirements:
        if requirement.key not in FIELDS:
            raise SelectorError(f"field label not supported: {requirement.key[:80]}; allowed: {', '.join(FIELDS)}")
        if requirement.operator not in {"in", "notin"} or len(requirement.values) != 1:
            raise SelectorError(f"{requirement.key}: allowed are =, == and !=")
    return requirements


def _parse(text: str) -> tuple[Requirement, ...]:
    found: list[Requirement] = []
    place = 0
    while place < len(text.rstrip()):
        part = _REQUIREMENT.match(text, place)
        if part is None:
            raise SelectorError(f"unable to parse requirement: {text[place : place + 80]!r}")
        found.append(_requirement(part))
        if len(found) > MAX_REQUIREMENTS:
            raise SelectorError(f"too many requirements; allowed: {MAX_REQUIREMENTS}")
        place = part.end()
    return tuple(found)


def _requirement(part: re.Match[str]) -> Requirement:
    if part["absent"]:
        return Requirement(part["absent"], "absent")
    if part["equals"]:
        return Requirement(part["key"], "notin" if part["equals"] == "!=" else "in", frozenset({part["value"]}))
    if part["set"]:
        values = frozenset(value.strip() for value in part["values"].split(","))
        return Requirement(part["key"], part["set"], values)
    if part["order"]:
        return Requirement(part["key"], part["order"], frozenset({part["number"]}))
    return Requirement(part["key"], "exists")
