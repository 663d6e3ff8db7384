"""The way of a change: an object -> the index -> the resources touched -> compiled -> published.

The index takes every event at once; compiling and publishing are coalesced, so that a burst costs one round.
"""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Collection, Generator, Iterable

from control.compile.compiler import Compiler
from control.index.change import Change
from control.index.index import Index
from control.model.decode import Known
from control.model.objects import Key
from control.push.coalesce import Coalescer
from meshproxy.kit.aio.slices import in_slices

log = logging.getLogger(__name__)


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
        self.failed = 0
        """How often an object could not be taken, or a resource not be compiled, which is a defect."""
        self.failing: set[str] = set()
        """Those that could not be, the last time; they are as they were before."""
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

    def take(self, items: Iterable[Known], version: int) -> None:
        """Take all objects that there are at the start, at once: from now on changes may come."""
        self.version = version
        for item in items:
            self._apply(Change(type(item), item.key, item))

    async def compile(self) -> None:
        """Compile everything that was taken. The loop goes on meanwhile, but nobody may be told anything yet."""
        await in_slices(self._compile_all())

    def _compile_all(self) -> Generator[None, None, None]:
        for name in self._index.names():
            self._refresh(name)
            yield

    def on_changes(self, changes: Iterable[Change], version: int) -> None:
        """Take changes in their order; with them the source has come to `version`."""
        now = time.monotonic()
        touched: set[str] = set()
        routes: set[Key] = set()
        for change in changes:
            touched |= self._apply(change)
            routes |= self._index.routes_touched(change.type, change.key)
        self.version = version
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

    def _apply(self, change: Change) -> set[str]:
        index, (kind, key, item) = self._index, change
        try:
            return index.apply(item) if item is not None else index.delete(kind, key)
        except Exception:
            # As below: the others must not suffer.
            self.failed += 1
            log.exception("%s %s cannot be taken, and what is made of it may stay as it was", kind.__name__, key)
            return set()

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
            changed |= self._refresh(name)
        self._observe(time.monotonic() - started, len(names))
        return changed

    def _refresh(self, name: str) -> set[str]:
        try:
            changed = self._compiler.refresh((name,))
        except Exception:
            # What is wrong with one must not keep the others from their sidecars, nor from ever being served again.
            self.failed += 1
            self.failing.add(name)
            log.exception("%s cannot be compiled and stays as it was", name)
            return set()
        self.failing.discard(name)
        return changed
