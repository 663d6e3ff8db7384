"""An API server's memory of its Pods, in a few lines: what was, what is, and what it would say of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from control.model.decode import decode
from control.model.objects import Key
from tests.control.build import pod
from tests.control.kube.said import line, versioned

STABLE = (Key("shop", "stable-1"), Key("bank", "stable-2"))
"""There from the start, and never touched."""


class Said(NamedTuple):
    version: int
    word: str
    key: Key
    document: dict[str, Any]

    @property
    def line(self) -> bytes:
        return line(self.word, self.document, self.version)


def made(key: Key, content: int) -> dict[str, Any]:
    """A Pod of this content; 0 is one that cannot be taken."""
    document = pod(key.name, f"a{content}", namespace=key.namespace)
    if not content:
        document["spec"]["serviceAccountName"] = ["none"]
    return document


class World:
    def __init__(self) -> None:
        self.version = 10
        self.oldest = 10
        self.objects: dict[Key, dict[str, Any]] = {}
        self.history: list[Said] = []
        for key in STABLE:
            self.put(key, 7)

    def put(self, key: Key, content: int) -> None:
        self.version += 1
        word = "MODIFIED" if key in self.objects else "ADDED"
        self.objects[key] = versioned(made(key, content), self.version)
        self.history.append(Said(self.version, word, key, self.objects[key]))

    def delete(self, key: Key) -> None:
        if key in self.objects:
            self.version += 1
            self.history.append(Said(self.version, "DELETED", key, self.objects.pop(key)))

    def compact(self) -> None:
        self.oldest = self.version

    def since(self, version: int) -> list[Said]:
        return [said for said in self.history if said.version > version]

    def saved(self) -> tuple[int, dict[Key, dict[str, Any]], list[Said]]:
        return self.version, dict(self.objects), list(self.history)

    def restore(self, saved: tuple[int, dict[Key, dict[str, Any]], list[Said]]) -> None:
        """Be what it was then, with the version of then."""
        self.version, objects, history = saved
        self.objects, self.history = dict(objects), list(history)
        self.oldest = min(self.oldest, self.version)

    def items(self) -> dict[Key, Any]:
        """What a fresh list gives to those who can read it."""
        return {
            key: decode(document)
            for key, document in self.objects.items()
            if document["spec"]["serviceAccountName"] != ["none"]
        }
