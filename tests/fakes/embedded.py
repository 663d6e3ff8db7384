"""An embedded store, and what a feed makes of it, as the control plane puts them together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from control.compile.compiler import Compiler
from control.embedded import Embedded
from control.feed import Feed
from control.index.index import Index
from control.model.kinds import find
from control.model.objects import Key
from meshproxy.kit.aio.tasks import Tasks


@asynccontextmanager
async def following(directory: Path, *documents: dict[str, Any]) -> AsyncIterator[tuple[Embedded, Compiler]]:
    """A store that holds documents which nobody has checked, and is followed."""
    index = Index(has_uids=False)
    compiler = Compiler(index)
    source = await Embedded.open(directory, index, CollectorRegistry())
    loop = asyncio.get_running_loop()
    tasks = Tasks(loop)
    feed = Feed(loop, index, compiler, publish=lambda *_: None, on_routes=source.on_routes, observe=lambda *_: None)
    try:
        for document in documents:
            await put(source, document)
        await source.follow(feed, tasks)
        yield source, compiler
    finally:
        feed.close()
        await tasks.close()
        await source.close()


async def put(source: Embedded, document: dict[str, Any]) -> None:
    """Store a document as it is."""
    kind = find(document["kind"])
    assert kind is not None
    metadata = document["metadata"]
    await source.objects.mutate(kind, Key(metadata["namespace"], metadata["name"]), lambda _: document)
