"""What the sidecar says on the stream, in messages of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from meshproxy.wire.resources import SCHEMA
from meshproxy.wire.stream import Hello, Node, Subscribe, Unsubscribe, encode

MAX_BYTES = 768 * 1024
"""A control plane takes 1 MiB from a sidecar."""


def greeting(node: Node, known: Mapping[str, str]) -> bytes:
    """Return the Hello. Past the bound held resources are left unsaid, and come whole."""
    said: dict[str, str] = {}
    size = 0
    for name, version in known.items():
        size += len(name) + len(version) + 6
        if size > MAX_BYTES:
            break
        said[name] = version
    return encode(Hello(node=node, schema=SCHEMA, known=said))


def subscriptions(gone: Iterable[str], came: Iterable[str]) -> Iterator[bytes]:
    """Yield what follows the names that came, and lets go of those that are gone; the latter first: they make room."""
    for names in _parts(gone):
        yield encode(Unsubscribe(names=names))
    for names in _parts(came):
        yield encode(Subscribe(names=names))


def _parts(names: Iterable[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for name in names:
        if size + len(name) > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(name)
        size += len(name) + 3
    if part:
        yield part
