"""A many-to-many relation that is kept from one side and asked from the other."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Source = TypeVar("Source", bound=Hashable)
Target = TypeVar("Target", bound=Hashable)


class Links(Generic[Source, Target]):
    """Each source points at targets; `sources` finds all that point at one. Costs grow with the links of one source."""

    __slots__ = ("_sources", "_targets")

    def __init__(self) -> None:
        self._targets: dict[Source, frozenset[Target]] = {}
        self._sources: dict[Target, set[Source]] = {}

    def put(self, source: Source, targets: Iterable[Target]) -> frozenset[Target]:
        """Replace what `source` points at; nothing at all forgets it. Return the targets that came or went."""
        new = frozenset(targets)
        old = self._targets.get(source, frozenset())
        for target in old - new:
            sources = self._sources[target]
            sources.discard(source)
            if not sources:
                del self._sources[target]
        for target in new - old:
            self._sources.setdefault(target, set()).add(source)
        if new:
            self._targets[source] = new
        else:
            self._targets.pop(source, None)
        return old ^ new

    def sources(self, target: Target) -> frozenset[Source]:
        return frozenset(self._sources.get(target, ()))
