"""Reading objects: one, a list of them, or a watch."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Iterable
from time import monotonic
from typing import Any

from aiohttp import web

from control.api.form import Form
from control.api.listing import is_selected, page_of
from control.api.protocols import Object, Objects
from control.api.query import Reading, reading
from control.api.resource import Resource
from control.api.send import answer, send
from control.api.status import ApiError, expired, not_found, too_many
from control.api.stream import Stream
from control.api.watcher import Line, Watcher, Watchers
from control.model.kinds import Kind
from control.model.objects import Key
from control.store.records import Gone

BOOKMARK_S = 60.0
WATCH_S = (1800.0, 3600.0)
"""How long a watch lasts whose client does not say: by chance in between, so that not all come back at once."""


class Reader:
    """GET, of all objects."""

    def __init__(self, objects: Objects, watchers: Watchers) -> None:
        self._objects = objects
        self._watchers = watchers

    async def get(self, resource: Resource, request: web.Request) -> web.StreamResponse:
        """Answer with one object."""
        name = request.match_info["name"]
        stored = self._objects.get(resource.kind, Key(request.match_info["namespace"], name))
        if stored is None:
            raise not_found(resource.kind, name)
        return answer(_form(resource, request).one(stored.body, time.time()))

    async def list(self, resource: Resource, request: web.Request) -> web.StreamResponse:
        """Answer with those that are selected, or tell what becomes of them (`watch`)."""
        asked = reading(request.query, request.match_info.get("namespace", ""))
        form = _form(resource, request)
        if asked.is_watch:
            return await self._watch(resource.kind, asked, form, request)
        self._check_version(resource.kind, asked)
        objects = self._objects.list(resource.kind, asked.selection.namespace)
        metadata: dict[str, Any] = {}
        page = page_of(objects, asked, self._objects.version, metadata)
        return await send(request, form.many(page, metadata, time.time()))

    def _check_version(self, kind: Kind, asked: Reading) -> None:
        present = self._objects.version
        wanted = asked.version or 0
        if wanted > present:
            cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            details = {"retryAfterSeconds": 1, "causes": [cause]}
            raise ApiError("Timeout", f"Too large resource version: {wanted}, current: {present}", details)
        if asked.match == "Exact" and wanted != present:
            raise expired(f"The provided resource version is no longer available: {wanted} ({present})")
        if asked.page is not None:
            try:
                self._objects.events_since(asked.page.version, kind)
            except Gone:
                raise expired(
                    "The provided continue parameter is too old to display a consistent list result. You can start a "
                    "new list without the continue parameter."
                ) from None

    async def _watch(self, kind: Kind, asked: Reading, form: Form, request: web.Request) -> web.StreamResponse:
        if self._watchers.is_full:
            raise too_many("too many watches; close one, or come again later", 5)
        stream = Stream(request, form)
        begins_anew = asked.sends_initial if asked.sends_initial is not None else not asked.version
        initial: Iterable[Line | None] = ()
        # From here to `add` nothing else runs: no event can come in between.
        present = self._objects.version
        known = present if begins_anew or not asked.version else asked.version
        watcher = Watcher(kind, asked.selection, known)
        try:
            if begins_anew:
                initial = _present(self._objects.list(kind, asked.selection.namespace), asked)
            else:
                watcher.on_events(self._objects.events_since(known, kind, asked.selection.namespace))
                watcher.version = max(known, present)
        except Gone as gone:
            # As it comes from an API server: HTTP 200, and the error as an event.
            await stream.begin()
            await stream.fail(expired(str(gone)))
            return stream.response
        self._watchers.add(watcher)
        try:
            await stream.begin()
            await stream.tell(initial)
            if asked.sends_initial:
                await stream.bookmark(known, ends_initial=True)
            await _follow(watcher, stream, asked)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._watchers.discard(watcher)
        return stream.response


async def _follow(watcher: Watcher, stream: Stream, asked: Reading) -> None:
    """Tell what happens until the watch ends."""
    now = monotonic()
    ends_at = now + (random.uniform(*WATCH_S) if asked.timeout_s is None else min(asked.timeout_s, WATCH_S[1]))  # noqa: S311
    bookmark_at = now + BOOKMARK_S
    while now < ends_at:
        if watcher.has_overflowed:
            await stream.fail(expired("too many events that were not read: list again, and watch from there"))
            return
        if watcher.is_closed:
            break
        lines, version = watcher.take(), watcher.version
        await stream.tell(lines)
        if asked.has_bookmarks and now >= bookmark_at:
            await stream.bookmark(version)
            bookmark_at = now + BOOKMARK_S
        await watcher.wait(min(ends_at, bookmark_at) - monotonic())
        now = monotonic()
    if asked.has_bookmarks and not watcher.has_lines:
        await stream.bookmark(watcher.version)


def _present(objects: Iterable[Object], asked: Reading) -> Generator[Line | None, None, None]:
    for stored in objects:
        yield Line("ADDED", stored.body) if is_selected(asked.selection, stored) else None


def _form(resource: Resource, request: web.Request) -> Form:
    return resource.form(request.headers.get("Accept", ""), request.query.get("includeObject", ""))
