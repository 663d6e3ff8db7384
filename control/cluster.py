"""With a cluster: the objects are those of a Kubernetes API server, and only read."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator

from prometheus_client import CollectorRegistry

from control.api.readonly import ReadOnly
from control.feed import Feed
from control.index.change import Change
from control.index.index import Index
from control.kube.checks import checks
from control.kube.client import Client
from control.kube.connection import Connection, load
from control.kube.mirror import Mirror
from control.kube.resources import WATCHED
from control.kube.source import Source
from control.model.check import Check
from control.model.decode import Known
from control.model.objects import Key
from control.settings import Cluster as Settings
from meshproxy.kit.aio.tasks import Tasks

log = logging.getLogger(__name__)


class Cluster:
    """What an API server says, for the feed. As long as it says nothing, everything stays as it was."""

    kinds = tuple(watched.kind for watched in WATCHED)

    def __init__(self, connection: Connection, index: Index, registry: CollectorRegistry) -> None:
        self.objects = Mirror()
        self.writer = ReadOnly()
        self.client = Client(connection)
        self.source = Source(
            self.client,
            self.objects,
            on_ready=self._on_ready,
            on_changes=self._on_changes,
            registry=registry,
            rng=random.Random(),  # noqa: S311 - spreads requests
        )
        self._connection = connection
        self._index = index
        self._feed: Feed | None = None
        self._listed = asyncio.Event()
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._is_compiled = False

    @classmethod
    async def open(cls, settings: Settings, index: Index, registry: CollectorRegistry) -> Cluster:
        """Raise SettingsError. Nothing is asked of the API server yet."""
        found = load(settings.kubeconfig, settings.context)
        log.info("reading the cluster at %s (%s)", found.url, found.described)
        return cls(found, index, registry)

    def on_routes(self, keys: set[Key]) -> None:
        """Leave the status of routes alone."""

    def unready(self) -> str:
        """Say which kinds are still to be listed, and what is in the way."""
        if self._is_compiled:
            return ""
        missing = [kind for kind in self.source.kinds if not kind.is_listed]
        if not missing:
            return "the cluster was not read yet; everything is listed, and being compiled"
        reason = next((f" ({kind.failure})" for kind in missing if kind.failure), "")
        return f"the cluster was not read yet; still to be listed: {', '.join(kind.kind for kind in missing)}{reason}"

    async def follow(self, feed: Feed, tasks: Tasks) -> None:
        """Load all objects into the feed once every kind is listed, and keep it in step from then on."""
        self._feed = feed
        tasks.start(self._read())
        await self._listed.wait()
        await feed.compile()
        self._is_compiled = True

    async def checks(self) -> list[Check]:
        """Say how well the cluster is read; the API server is asked what only it can tell."""
        return await checks(self.client, self._connection, self.source, self._index)

    async def ended(self) -> str:
        """Wait for ever, but for a defect: an API server that is away comes back."""
        return await self._ended

    async def close(self) -> None:
        await self.client.close()

    async def _read(self) -> None:
        try:
            await self.source.run()
        except Exception:
            # Started anew it reads again; going on it would only seem to be up to date.
            log.exception("a defect")
            self._ended.set_result("the cluster is not read any more: a defect, told above")

    def _items(self) -> Iterator[Known]:
        for kind in self.kinds:
            for seen in self.objects.list(kind):
                yield seen.item

    def _on_ready(self) -> None:
        # In this very moment, so that no change falls between what was loaded and what is followed.
        assert self._feed is not None
        self._feed.take(self._items(), self.objects.version)
        self._listed.set()

    def _on_changes(self, changes: list[Change]) -> None:
        if self._listed.is_set():
            assert self._feed is not None
            self._feed.on_changes(changes, self.objects.version)
