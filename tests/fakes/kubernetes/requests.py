"""What a request asks for, by its path and query; and the rights it needs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple


class Target(NamedTuple):
    """What a path names. `resource` is empty for discovery and the like; `version` is that of the group."""

    group: str = ""
    version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    rest: str = ""


class Asked(NamedTuple):
    """A request as it came. `verb` as rights have it: list, watch, get, create, ...; `at` is monotonic seconds."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float


class Rule(NamedTuple):
    """A rule of a role; "*" stands for all. `paths` are those of what is no object: discovery and the like."""

    groups: frozenset[str]
    resources: frozenset[str]
    verbs: frozenset[str]
    paths: frozenset[str]

    def allows_path(self, path: str, verb: str) -> bool:
        return path in self.paths and verb in self.verbs

    def allows(self, group: str, resource: str, verb: str) -> bool:
        return all(
            {word, "*"} & words
            for word, words in ((group, self.groups), (resource, self.resources), (verb, self.verbs))
        )


def rules_of(role: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules of a ClusterRole document."""
    return tuple(
        Rule(*(frozenset(rule.get(name, ())) for name in ("apiGroups", "resources", "verbs", "nonResourceURLs")))
        for rule in role["rules"]
    )


def parse(path: str) -> Target:
    """Read a path; what is no object or kind has no `resource`."""
    words = path.strip("/").split("/")
    if words[0] == "api" and len(words) > 1:
        group, version, rest = "", words[1], words[2:]
    elif words[0] == "apis" and len(words) > 2:
        group, version, rest = words[1], words[2], words[3:]
    else:
        return Target()
    if len(rest) >= 3 and rest[0] == "namespaces":
        return Target(group, version, rest[2], rest[1], *rest[3:4], rest="/".join(rest[4:]))
    return Target(group, version, *rest[:1], name="".join(rest[1:2]), rest="/".join(rest[2:]))


def verb_of(method: str, target: Target, query: Mapping[str, str]) -> str:
    """As the authorizer names it."""
    if method == "GET" and target.resource and not target.name:
        return "watch" if is_true(query.get("watch", "")) else "list"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, method.lower())


def is_true(text: str) -> bool:
    return text in {"true", "1", "True"}


def partial_kind(accept: str) -> str:
    """PartialObjectMetadata or PartialObjectMetadataList, if the client asks for nothing but metadata; else empty."""
    found = re.search(r"application/json;(?:[^,]*;)?as=(PartialObjectMetadata(?:List)?)(?:;|,|$)", accept)
    return found[1] if found else ""


def takes_json(accept: str) -> bool:
    return not accept or any(word in accept for word in ("application/json", "*/*", "application/*"))
