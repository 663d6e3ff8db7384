"""The kinds that an operator can name, and how an operator names an object."""

from __future__ import annotations

from typing import Any, NamedTuple

from control.cli.failure import Failure
from control.model.kinds import KINDS, Kind, find

PROXY = Kind("Proxy", "proxies", "proxy", "meshproxy.io", ("v1alpha1",), ("px",))
"""A connected sidecar: read, never written."""
ALL = (*KINDS, PROXY)


class Target(NamedTuple):
    """A kind, and one object of it; all of them when `name` is empty."""

    kind: Kind
    name: str


def kind_of(word: str) -> Kind:
    """Return the kind that a word means. Raise Failure that tells those there are."""
    folded = word.lower().removesuffix(f".{PROXY.group}")
    if folded in {PROXY.plural, PROXY.singular, *PROXY.short_names}:
        return PROXY
    kind = find(word)
    if kind is None:
        raise Failure(f"kind {word!r} is not known; allowed: {', '.join(known())}")
    return kind


def known() -> list[str]:
    """Return the words for kinds, each with its short name."""
    return [f"{kind.plural} ({', '.join(kind.short_names)})" if kind.short_names else kind.plural for kind in ALL]


def target_of(kind: str, name: str) -> Target:
    """Take `KIND`, `KIND NAME` or `KIND/NAME`. Raise Failure."""
    word, slash, tail = kind.partition("/")
    if slash and name:
        raise Failure(f"{kind} {name}: a name stands twice; allowed: KIND NAME or KIND/NAME")
    if slash and not tail:
        raise Failure(f"{kind}: the name is missing")
    return Target(kind_of(word), tail or name)


def label_of(kind: Kind, document: Any) -> str:
    """Return how an object is called in messages: `httproute/echo`."""
    return f"{kind.singular}/{metadata_of(document).get('name', '')}"


def metadata_of(document: Any) -> dict[str, Any]:
    """Return the metadata of a document, which may be of any shape."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return metadata if isinstance(metadata, dict) else {}
