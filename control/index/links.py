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
        self._targets: dict[Source, tuple[Target, ...]] = {}
        # Most targets have one source: a set of one would be 216 bytes beside each of 100 000 Pods.
        self._sources: dict[Target, Source | set[Source]] = {}

    def put(self, source: Source, targets: Iterable[Target]) -> frozenset[Target]:
        """Replace what `source` points at; nothing at all forgets it. Return the targets that came or went."""
        new = frozenset(targets)
        old = frozenset(self._targets.get(source, ()))
        for target in old - new:
            self._remove(target, source)
        for target in new - old:
            self._add(target, source)
        if new:
            self._targets[source] = tuple(new)
        else:
            self._targets.pop(source, None)
        return old ^ new

    def sources(self, target: Target) -> frozenset[Source]:
        if target not in self._sources:
            return frozenset()
        found = self._sources[target]
        return frozenset(found) if isinstance(found, set) else frozenset((found,))

    def _add(self, target: Target, source: Source) -> None:
        if target not in self._sources:
            self._sources[target] = source
            return
        found = self._sources[target]
        if isinstance(found, set):
            found.add(source)
        else:
            self._sources[target] = {found, source}

    def _remove(self, target: Target, source: Source) -> None:
        found = self._sources[target]
        if not isinstance(found, set):
            del self._sources[target]
            return
        found.discard(source)
        if len(found) == 1:
            self._sources[target] = found.pop()
