"""What a snapshot made ready for requests holds on to."""

from __future__ import annotations

import gc
import weakref

from meshproxy.wire import resources as wire
from tests.fakes.loop import on_uvloop
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service


@on_uvloop
async def test_a_snapshot_does_not_keep_those_before_it() -> None:
    async with running(service("echo", [])) as sidecar:
        kept: weakref.WeakSet[object] = weakref.WeakSet()
        for port in range(9000, 9010):
            kept.add(sidecar.stack.services)
            sidecar.use(service("echo", [wire.Endpoint(address="127.0.0.1", port=port)]))
        gc.collect()
        assert list(kept) == []
