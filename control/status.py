"""Writes what became of each route into the route's status, whenever that changes."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial

import msgspec

from control.compile.status import status_of
from control.index.index import Index
from control.model.kinds import HTTP_ROUTE
from control.model.objects import Key
from control.store.store import Store, StoreError
from control.store.verbs import Preconditions, Refused, Write, set_status
from meshproxy.kit.stamp import stamp_second

log = logging.getLogger(__name__)

BATCH = 64
RETRY_S = 1.0
"""After the store refused a write: its disk may be full."""


class StatusWriter:
    """Its own writes come back as events and end there, since nothing differs then."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self._touched: dict[Key, None] = {}
        self._wake = asyncio.Event()

    def on_routes(self, keys: set[Key]) -> None:
        """Look at these routes again; each waits once, however often it is named."""
        self._touched.update(dict.fromkeys(keys))
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            keys = list(self._touched)[:BATCH]
            for key in keys:
                del self._touched[key]
            if not self._touched:
                self._wake.clear()
            outcomes = await asyncio.gather(*(self._write(key) for key in keys), return_exceptions=True)
            refused = False
            for key, outcome in zip(keys, outcomes, strict=True):
                if isinstance(outcome, StoreError):
                    refused = True
                    self.on_routes({key})
                elif isinstance(outcome, Exception):
                    # A defect, of which the other routes must not suffer; tried again when the route changes.
                    log.error("the status of %s cannot be told", key, exc_info=outcome)
            if refused:
                await asyncio.sleep(RETRY_S)

    async def _write(self, key: Key) -> None:
        route = self._index.routes.get(key)
        stored = self._store.get(HTTP_ROUTE, key)
        if route is None or stored is None:
            return
        former = msgspec.json.decode(stored.body).get("status")
        status = status_of(self._index, route, former, stamp_second(time.time()))
        if status == former:
            return
        # Of this version only: what another controller says in the same status since must not be lost.
        expected = Preconditions(version=str(stored.version))
        change = partial(set_status, status=status, write=Write(HTTP_ROUTE, key), preconditions=expected)
        try:
            await self._store.mutate(HTTP_ROUTE, key, change)
        except Refused as refused:
            if refused.reason not in {"Conflict", "NotFound"}:
                raise
            # Changed or deleted meanwhile: that has an event of its own, which leads here again.
