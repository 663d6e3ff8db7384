"""The names of resources that are followed, counted by the roots that need them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from meshproxy.wire.stream import MAX_NAMES

MAX_FOLLOWED = MAX_NAMES - 1_024
"""Leaves the control plane room for the Services of the own namespace that it counts on top."""

Root: TypeAlias = tuple[str, str]


class Following:
    """A name is followed while a root needs it. Past the bound further names are left out, and come in later."""

    __slots__ = ("_bound", "_came", "_counts", "_gone", "_needs", "_short")

    def __init__(self, bound: int = MAX_FOLLOWED) -> None:
        self._bound = bound
        self._counts: dict[str, int] = {}
        self._needs: dict[Root, list[str]] = {}
        self._short: set[Root] = set()
        # Since the last `take`, in order.
        self._came: dict[str, None] = {}
        self._gone: dict[str, None] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._counts

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def need(self, root: Root, names: Iterable[str]) -> None:
        """Set what a root needs, in order of importance; nothing: the root is gone."""
        counts = self._counts
        needs: list[str] = []
        self._short.discard(root)
        for name in dict.fromkeys(names):
            count = counts.get(name, 0)
            if not count:
                if len(counts) >= self._bound:
                    self._short.add(root)
                    continue
                self._on_came(name)
            counts[name] = count + 1
            needs.append(name)
        for name in self._needs.pop(root, ()):
            counts[name] -= 1
            if not counts[name]:
                del counts[name]
                self._on_gone(name)
        if needs:
            self._needs[root] = needs

    def short(self) -> list[Root]:
        """Return the roots that have less than they need although there is room now."""
        return list(self._short) if self._short and len(self._counts) < self._bound else []

    def take(self) -> tuple[list[str], list[str]]:
        """Return the names that came and those that went since this was called last."""
        came, gone = list(self._came), list(self._gone)
        self._came.clear()
        self._gone.clear()
        return came, gone

    def _on_came(self, name: str) -> None:
        if name in self._gone:
            del self._gone[name]
        else:
            self._came[name] = None

    def _on_gone(self, name: str) -> None:
        if name in self._came:
            del self._came[name]
        else:
            self._gone[name] = None
