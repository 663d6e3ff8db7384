"""The objects of one kind, in memory and in order."""

from __future__ import annotations

from bisect import bisect_left, insort

from control.model.objects import Key
from control.store.records import Stored


class Shelf:
    """Objects by key. Keeps the keys sorted, so that a list costs what it returns."""

    __slots__ = ("_keys", "_objects")

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self._objects: dict[Key, Stored] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: Key) -> Stored | None:
        return self._objects.get(key)

    def put(self, stored: Stored) -> None:
        if stored.key not in self._objects:
            insort(self._keys, stored.key)
        self._objects[stored.key] = stored

    def remove(self, key: Key) -> None:
        del self._objects[key]
        del self._keys[bisect_left(self._keys, key)]

    def list(self, namespace: str) -> list[Stored]:
        """Return the objects of a namespace, of all if it is empty, sorted by namespace and name."""
        keys = self._keys
        if namespace:
            # No name sorts before the empty one, and no longer namespace before this one with a NUL.
            keys = keys[bisect_left(keys, (namespace, "")) : bisect_left(keys, (f"{namespace}\0", ""))]
        return [self._objects[key] for key in keys]
