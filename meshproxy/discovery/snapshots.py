"""Configuration from a snapshot file: read at the start, on SIGHUP and when it changes; a bad one is refused whole."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING

from meshproxy.discovery.file import SnapshotFile
from meshproxy.kit.aio.slices import in_slices
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.kit.stamp import stamp
from meshproxy.metrics.events import Loads
from meshproxy.policy.route import RouteTable
from meshproxy.wire import resources as wire
from meshproxy.wire.change import Change
from meshproxy.wire.problem import Problem
from meshproxy.wire.snapshot import Entry, Snapshot, SnapshotError, load_steps

if TYPE_CHECKING:
    from pathlib import Path

    from meshproxy.metrics.slots import Registry

log = logging.getLogger(__name__)

POLL_S = 1.0
"""How often a changed file is looked for."""


class Snapshots:
    """The file at `path`, as far as it is for the workload `namespace`/`workload`.

    `entries` is what is in use, by name; `apply` lets a change of it take effect.
    """

    def __init__(
        self,
        path: Path,
        namespace: str,
        workload: str,
        entries: Mapping[str, Entry],
        apply: Callable[[Change], Awaitable[None]],
        registry: Registry,
    ) -> None:
        self._file = SnapshotFile(path)
        self._path = path
        self._namespace = namespace
        self._workload = f"workload/{namespace}/{workload}"
        self._entries = entries
        self._apply = apply
        self._events = Loads(registry)
        self._tasks = Tasks(asyncio.get_running_loop())
        self._version = ""
        self._loaded_at = 0.0  # Unix time
        self._is_loading = False

    async def start(self) -> None:
        """Take the file as it is now, and watch it from here on. Raises SnapshotError."""
        await self._load()
        self._tasks.start(self._watch())

    async def close(self) -> None:
        await self._tasks.close()

    def reload(self) -> None:
        """Look at it now."""
        self._tasks.start(self._reload())

    def unready(self) -> str:
        return "" if self._version else "the snapshot is not loaded yet"

    def report(self) -> dict[str, object]:
        """What is in use, for the admin server; the time is RFC 3339."""
        return {"source": str(self._path), "version": self._version, "loaded_at": stamp(self._loaded_at)}

    async def _load(self) -> None:
        """Raises SnapshotError; then what is in use stays."""
        started = time.monotonic()
        data = self._file.read()
        version = hashlib.sha256(data).hexdigest()[:16]
        if version == self._version:
            return
        snapshot = await in_slices(load_steps(data))
        for name in snapshot.skipped:
            log.warning("the snapshot has %s, which this sidecar does not know", name)
        await self._apply(await in_slices(self._compare(snapshot)))
        self._version = version
        self._loaded_at = time.time()
        self._events.snapshot_loads.add("taken")
        self._events.snapshot.replace(1, version)
        self._events.snapshot_loaded.set(self._loaded_at)
        took_ms = (time.monotonic() - started) * 1000
        log.info("snapshot taken: %d resources, %.0f ms", len(self._entries), took_ms)

    def _compare(self, snapshot: Snapshot) -> Generator[None, None, Change]:
        """What is another than in use, by content: versions are the writer's word. Raises SnapshotError."""
        entries = snapshot.select(self._namespace)
        updated: list[Entry] = []
        for name, entry in entries.items():
            if self._entries.get(name) != entry:
                updated.append(entry)
            yield
        yield from compiling(updated)
        removed = [name for name in self._entries if name not in entries]
        if self._workload not in entries and self._workload not in removed:
            removed.append(self._workload)
        return Change(updated, removed, [])

    async def _reload(self) -> None:
        """Take a changed file; refuse a bad one and go on with what is in use."""
        if self._is_loading:
            return
        self._is_loading = True
        try:
            await self._load()
        except SnapshotError as error:
            self._events.snapshot_loads.add("refused")
            log.error("snapshot refused, the one in use stays: %s", error)  # noqa: TRY400 - a sentence, no traceback
        except Exception:
            self._events.snapshot_loads.add("refused")
            log.exception("the snapshot could not be taken by a defect; the one in use stays")
        finally:
            self._is_loading = False

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if self._file.is_changed():
                await self._reload()


def check_compiles(entries: Iterable[Entry]) -> None:
    """Raise SnapshotError for what is found in resources only when they are compiled."""
    for _ in compiling(entries):
        pass


def compiling(entries: Iterable[Entry]) -> Generator[None, None, None]:
    """Do what `check_compiles` does in short steps."""
    problems: list[Problem] = []
    for entry in entries:
        if isinstance(entry.resource, wire.Routes):
            try:
                RouteTable(entry.resource)
            except ValueError as error:
                problems.append(Problem(entry.name, "", str(error)))
        yield
    if problems:
        raise SnapshotError(problems)
