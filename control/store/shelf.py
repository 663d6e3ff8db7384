"""The objects of one kind, in memory and in order."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import KeysView
from typing import Generic, Protocol, TypeVar

from control.model.objects import Key


class Keyed(Protocol):
    @property
    def key(self) -> Key: ...


Item = TypeVar("Item", bound=Keyed)


class Shelf(Generic[Item]):
    """Objects by key. Keeps the keys sorted once they were asked for, so that a list costs what it returns.

    Until then nothing is sorted: thousands that come in any order would cost more than all of them sorted once.
    """

    __slots__ = ("_keys", "_objects")

    def __init__(self) -> None:
        self._keys: list[Key] | None = None
        self._objects: dict[Key, Item] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def keys(self) -> KeysView[Key]:
        """Return the keys, in no order."""
        return self._objects.keys()

    def get(self, key: Key) -> Item | None:
        return self._objects.get(key)

    def put(self, item: Item) -> None:
        key = item.key
        if self._keys is not None and key not in self._objects:
            insort(self._keys, key)
        self._objects[key] = item

    def remove(self, key: Key) -> None:
        del self._objects[key]
        if self._keys is not None:
            del self._keys[bisect_left(self._keys, key)]

    def list(self, namespace: str) -> list[Item]:
        """Return the objects of a namespace, of all if it is empty, sorted by namespace and name."""
        if self._keys is None:
            self._keys = sorted(self._objects)
        keys = self._keys
        if namespace:
            # No name sorts before the empty one, and no longer namespace before this one with a NUL.
            keys = keys[bisect_left(keys, (namespace, "")) : bisect_left(keys, (f"{namespace}\0", ""))]
        return [self._objects[key] for key in keys]
