"""Who is told what has changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

Events = TypeVar("Events")


class Listeners(Generic[Events]):
    """Callbacks, in the order in which they came. One that fails is told to `on_failure`, and the others go on."""

    __slots__ = ("_callbacks", "_on_failure")

    def __init__(self, on_failure: Callable[[Exception], None]) -> None:
        self._callbacks: dict[object, Callable[[Events], None]] = {}
        self._on_failure = on_failure

    def __len__(self) -> int:
        return len(self._callbacks)

    def add(self, callback: Callable[[Events], None]) -> Callable[[], None]:
        """Return what ends it."""
        token = object()
        self._callbacks[token] = callback
        return partial(self._end, token)

    def _end(self, token: object) -> None:
        self._callbacks.pop(token, None)

    def tell(self, events: Events) -> None:
        for callback in tuple(self._callbacks.values()):
            try:
                callback(events)
            except Exception as error:  # noqa: BLE001 - whatever it is, it has happened already what is told
                self._on_failure(error)
