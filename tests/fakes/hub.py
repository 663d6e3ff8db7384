"""The real push side and the real API in a thread, with resources that a test says: what no compiler would let pass."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from prometheus_client import generate_latest

from control.push.bounds import Bounds
from meshproxy.wire.snapshot import Entry
from tests.fakes import api
from tests.fakes.mesh import meshctl, total
from tests.fakes.plane import Plane, pushing


class Threaded:
    """A `Plane` for a test that blocks. `url` is what sidecars take for `--control`."""

    def __init__(self) -> None:
        self.url = ""
        self.api = ""
        self.loop = uvloop.new_event_loop()
        self.plane: Plane
        self._started = threading.Event()
        self._ending = asyncio.Event()
        self._thread: threading.Thread

    def start(self, directory: Path, entries: Iterable[Entry], bounds: Bounds | None) -> None:
        async def run() -> None:
            async with pushing(entries, bounds=bounds) as plane, api.serve(directory, plane.hub) as served:
                self.plane, self.url, self.api = plane, plane.url, served.url
                self._started.set()
                await self._ending.wait()

        def begin() -> None:
            with contextlib.closing(self.loop):
                self.loop.run_until_complete(run())

        self._thread = threading.Thread(target=begin)
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def do(self, act: Callable[[], Any]) -> Any:
        """Do something on the hub's loop; returns what came of it."""
        done: Future[Any] = Future()

        def run() -> None:
            try:
                done.set_result(act())
            except BaseException as error:  # noqa: BLE001 - the test's to judge
                done.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return done.result(10)

    def use(self, *entries: Entry) -> None:
        self.do(partial(self.plane.use, entries))

    def proxies(self) -> dict[str, Any]:
        """The connected sidecars, by name."""
        return {row.name: row for row in self.do(self.plane.hub.proxies)}

    def metric(self, pattern: str) -> float:
        return total(self.do(partial(generate_latest, self.plane.registry)).decode(), pattern)

    def meshctl(self, *arguments: str) -> str:
        return meshctl(self.api, api.TOKEN, *arguments)


@contextlib.contextmanager
def pushing_in_thread(directory: Path, entries: Iterable[Entry], bounds: Bounds | None = None) -> Iterator[Threaded]:
    hub = Threaded()
    hub.start(directory, entries, bounds)
    try:
        yield hub
    finally:
        hub.stop()
