"""The way of a change: an object's event -> the index -> the resources touched -> compiled -> published.

The index takes every event at once; compiling and publishing are coalesced, so that a burst costs one round.
"""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from control.compile.compiler import Compiler
from control.index.index import Index
from control.model.decode import Known, ObjectError, recall, type_of
from control.model.kinds import Kind
from control.model.objects import Key
from control.push.coalesce import Coalescer

log = logging.getLogger(__name__)


class Event(Protocol):
    """One change of one object, from whatever source. `body` is the object as JSON; of a deletion its last state."""

    @property
    def type(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def key(self) -> Key: ...
    @property
    def version(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class Feed:
    """Keeps the compiled resources in step with a source of objects. Lives on one event loop.

    `publish(names, since)` is told the resources that have another content, and the (monotonic) time of the oldest
    event behind them; `on_routes(keys)` the routes whose status may have changed; `observe(seconds, count)` what a
    round of compiling took.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        index: Index,
        compiler: Compiler,
        *,
        publish: Callable[[Collection[str], float], None],
        on_routes: Callable[[set[Key]], None],
        observe: Callable[[float, int], None],
    ) -> None:
        self.version = 0
        """Up to which changes of the source were taken."""
        self.refused = 0
        """Objects of the source that could not be read; they count as absent."""
        self.failed = 0
        """Resources that could not be compiled, which is a defect; they stay as they were."""
        self._loop = loop
        self._index = index
        self._compiler = compiler
        self._publish = publish
        self._on_routes = on_routes
        self._observe = observe
        self._coalescer = Coalescer()
        self._timer: TimerHandle | None = None
        self._touched: set[str] = set()
        self._since = 0.0

    def load(self, objects: Iterable[tuple[Kind, Key, bytes]], version: int) -> None:
        """Take all objects that there are at the start, compile everything; nothing is published."""
        self.version = version
        for kind, key, body in objects:
            item = self._decode(kind, key, body)
            if item is not None:
                self._index.apply(item)
        self._compile(self._index.names())

    def on_events(self, events: Iterable[Event]) -> None:
        """Take changes in their order."""
        now = time.monotonic()
        touched: set[str] = set()
        routes: set[Key] = set()
        for event in events:
            item = self._decode(event.kind, event.key, event.body) if event.type != "DELETED" else None
            kind = type_of(event.kind.name)
            touched |= self._index.apply(item) if item is not None else self._index.delete(kind, event.key)
            routes |= self._index.routes_touched(kind, event.key)
            self.version = event.version
        if routes:
            self._on_routes(routes)
        if not touched:
            return
        if not self._touched:
            self._since = now
        self._touched |= touched
        delay_s = self._coalescer.on_change(now) - now
        if delay_s <= 0:
            self._flush()
        else:
            self._arm(delay_s)

    def close(self) -> None:
        """Publish nothing more of what waits."""
        self._cancel()

    def _arm(self, delay_s: float) -> None:
        self._cancel()
        self._timer = self._loop.call_later(delay_s, self._flush)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        self._cancel()
        touched, self._touched = self._touched, set()
        self._coalescer.on_flush(time.monotonic())
        changed = self._compile(touched)
        if changed:
            self._publish(changed, self._since)

    def _compile(self, names: Collection[str]) -> set[str]:
        started = time.monotonic()
        changed: set[str] = set()
        for name in names:
            try:
                changed |= self._compiler.refresh((name,))
            except Exception:
                # What is wrong with one must not keep the others from their sidecars, nor from ever being served again.
                self.failed += 1
                log.exception("%s cannot be compiled and stays as it was", name)
        self._observe(time.monotonic() - started, len(names))
        return changed

    def _decode(self, kind: Kind, key: Key, body: bytes) -> Known | None:
        try:
            return recall(kind.name, body)
        except ObjectError as error:
            # It was good when it was written: the rules have become stricter since.
            self.refused += 1
            log.error("%s %s cannot be read and counts as absent: %s", kind.name, key, error)  # noqa: TRY400
            return None
