"""Writing objects: from the body of a request through a verb to the store, and back as the object that came of it."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from control.api.body import APPLY_PATCH, JSON, MERGE_PATCH, Bodies
from control.api.listing import is_selected
from control.api.query import Writing, reading, writing
from control.api.resource import Resource
from control.api.send import answer
from control.api.status import ApiError, refused, success
from control.model.decode import prune
from control.model.kinds import Kind
from control.model.objects import Key
from control.model.schema import Flaw
from control.store.records import Document, Stored, StoreError
from control.store.store import Store
from control.store.verbs import (
    Preconditions,
    Refused,
    Write,
    apply,
    create,
    delete,
    merge_patch,
    patch_status,
    replace,
    set_status,
)
from meshproxy.kit.stamp import stamp_second

MAX_WARNINGS = 20
MAX_AT_ONCE = 64
"""Deletions of a collection that are under way together."""
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


class _Change:
    """A verb on its way through the store; `was_there` says afterwards whether it met an object."""

    __slots__ = ("_verb", "was_there")

    def __init__(self, verb: Callable[[Stored | None], Document | None]) -> None:
        self._verb = verb
        self.was_there = False

    def __call__(self, current: Stored | None) -> Document | None:
        self.was_there = current is not None
        return self._verb(current)


class Writer:
    """POST, PUT, PATCH and DELETE, of everything that is stored."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bodies = Bodies()

    async def create(self, resource: Resource, request: web.Request) -> web.Response:
        """Make a new object, under the name in the body."""
        how = _how(request)
        document, headers = _checked(resource, how, await self._bodies.take(request, (JSON,)))
        key = Key(request.match_info["namespace"], _name(resource.kind, document))
        write = _write(resource.kind, key, how, is_new=True)
        stored = await self._mutate(write, _Change(partial(create, write=write, document=document)), how.dry_run)
        return self._answer(resource, request, stored, 201, headers)

    async def replace(self, resource: Resource, request: web.Request) -> web.Response:
        """Put another content in an object's place."""
        how = _how(request)
        document, headers = _checked(resource, how, await self._bodies.take(request, (JSON,)))
        write = _write(resource.kind, _key(request), how)
        stored = await self._mutate(write, _Change(partial(replace, write=write, document=document)), how.dry_run)
        return self._answer(resource, request, stored, 200, headers)

    async def patch(self, resource: Resource, request: web.Request) -> web.Response:
        """Merge a patch into an object, or apply a whole one (server-side apply)."""
        how = _how(request)
        document, headers = _checked(resource, how, await self._bodies.take(request, (MERGE_PATCH, APPLY_PATCH)))
        is_merge = request.content_type == MERGE_PATCH
        write = _write(resource.kind, _key(request), how, is_new=not is_merge)
        if is_merge:
            change = _Change(partial(merge_patch, write=write, patch=document))
        else:
            _check_manager(request)
            change = _Change(partial(apply, write=write, document=document, force=how.force))
        stored = await self._mutate(write, change, how.dry_run)
        return self._answer(resource, request, stored, 200 if change.was_there else 201, headers)

    async def replace_status(self, resource: Resource, request: web.Request) -> web.Response:
        """Put another status in the place of an object's; nothing else changes."""
        how = _how(request)
        document, headers = _checked(resource, how, await self._bodies.take(request, (JSON,)))
        return await self._set_status(resource, request, how, document, headers)

    async def patch_status(self, resource: Resource, request: web.Request) -> web.Response:
        """Merge a patch into an object's status, or apply a whole one."""
        how = _how(request)
        document, headers = _checked(resource, how, await self._bodies.take(request, (MERGE_PATCH, APPLY_PATCH)))
        if request.content_type == APPLY_PATCH:
            _check_manager(request)
            return await self._set_status(resource, request, how, document, headers)
        write = _write(resource.kind, _key(request), how)
        stored = await self._mutate(write, _Change(partial(patch_status, write=write, patch=document)), how.dry_run)
        return self._answer(resource, request, stored, 200, headers)

    async def delete(self, resource: Resource, request: web.Request) -> web.Response:
        """Delete an object, if it is the one that the preconditions say."""
        how, preconditions = await self._deletion(request)
        write = _write(resource.kind, _key(request), how)
        stored = await self._delete(write, preconditions, how.dry_run)
        uid = msgspec.json.decode(stored.body)["metadata"].get("uid", "")
        return answer(success(resource.kind, write.key.name, uid))

    async def delete_all(self, resource: Resource, request: web.Request) -> web.Response:
        """Delete the objects of a namespace that are selected, each by itself; those that go meanwhile are no error."""
        how, preconditions = await self._deletion(request)
        asked = reading(request.query, request.match_info["namespace"])
        objects = self._store.list(resource.kind, asked.selection.namespace)
        keys = [stored.key for stored in objects if is_selected(asked.selection, stored)]
        for start in range(0, len(keys), MAX_AT_ONCE):
            # Together they wait for the disk once.
            deletions = (
                self._delete(_write(resource.kind, key, how), preconditions, how.dry_run)
                for key in keys[start : start + MAX_AT_ONCE]
            )
            for outcome in await asyncio.gather(*deletions, return_exceptions=True):
                if isinstance(outcome, BaseException) and not _is_absent(outcome):
                    raise outcome
        return answer(success(resource.kind, "", ""))

    async def _set_status(
        self, resource: Resource, request: web.Request, how: Writing, document: Document, headers: dict[str, str]
    ) -> web.Response:
        metadata = document.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        write = _write(resource.kind, _key(request), how)
        preconditions = Preconditions(version=version if isinstance(version, str) else "")
        change = _Change(partial(set_status, write=write, status=document.get("status"), preconditions=preconditions))
        stored = await self._mutate(write, change, how.dry_run)
        return self._answer(resource, request, stored, 200, headers)

    async def _deletion(self, request: web.Request) -> tuple[Writing, Preconditions]:
        how = _how(request)
        options = await self._bodies.take(request, (JSON,), optional=True)
        given = options.get("preconditions") or {}
        dry_run = options.get("dryRun") or []
        if dry_run not in ([], ["All"]):
            raise ApiError("BadRequest", "DeleteOptions.dryRun: allowed is [All]")
        if not isinstance(given, dict) or not all(
            isinstance(given.get(name, ""), str) for name in ("uid", "resourceVersion")
        ):
            raise ApiError("BadRequest", "DeleteOptions.preconditions: allowed are uid and resourceVersion, as text")
        how = how._replace(dry_run=how.dry_run or bool(dry_run))
        return how, Preconditions(given.get("uid", ""), given.get("resourceVersion", ""))

    async def _delete(self, write: Write, preconditions: Preconditions, dry_run: bool) -> Stored:
        return await self._mutate(write, _Change(partial(delete, write=write, preconditions=preconditions)), dry_run)

    async def _mutate(self, write: Write, change: _Change, dry_run: bool) -> Stored:
        try:
            return await self._store.mutate(write.kind, write.key, change, dry_run=dry_run)
        except Refused as error:
            raise refused(write.kind, write.key.name, error) from None
        except StoreError as error:
            raise ApiError("ServiceUnavailable", str(error), headers={"Retry-After": "1"}) from None

    def _answer(
        self, resource: Resource, request: web.Request, stored: Stored, status: int, headers: dict[str, str]
    ) -> web.Response:
        form = resource.form(request.headers.get("Accept", ""))
        return answer(form.one(stored.body, time.time()), status, headers)


def _how(request: web.Request) -> Writing:
    return writing(request.query, request.headers.get("User-Agent", ""))


def _is_absent(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.reason == "NotFound"


def _key(request: web.Request) -> Key:
    return Key(request.match_info["namespace"], request.match_info["name"])


def _write(kind: Kind, key: Key, how: Writing, *, is_new: bool = False) -> Write:
    """`is_new`: the object may come into being by this."""
    return Write(kind, key, how.manager, stamp_second(time.time()), str(uuid.uuid4()) if is_new else "")


def _check_manager(request: web.Request) -> None:
    if not request.query.get("fieldManager"):
        raise ApiError(
            "BadRequest",
            "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch",
        )


def _checked(resource: Resource, how: Writing, document: Document) -> tuple[Document, dict[str, str]]:
    """Return what is to be stored, and headers for the answer. Unless Strict, unknown fields are left out first."""
    if how.validation == "Strict":
        return document, {}
    named = {**document, "apiVersion": resource.kind.api_version, "kind": resource.kind.name}
    pruned, dropped = prune(named)
    result: dict[str, Any] = {
        name: document[name] if name in {"apiVersion", "kind"} else value
        for name, value in pruned.items()
        if name in document
    }
    if how.validation == "Ignore" or not dropped:
        return result, {}
    shown = ", ".join(f"unknown field {path}" for path in dropped[:MAX_WARNINGS])
    quoted = shown.encode("ascii", "replace").decode().replace("\\", "\\\\").replace('"', '\\"')
    return result, {"Warning": f'299 - "{quoted}"'}


def _name(kind: Kind, document: Document) -> str:
    """Return the name of an object to be made: its own, or one that begins with its generateName."""
    metadata = document.get("metadata")
    fields = metadata if isinstance(metadata, dict) else {}
    if isinstance(name := fields.get("name"), str) and name:
        return name
    if isinstance(prefix := fields.get("generateName"), str) and prefix:
        return prefix[:58] + "".join(secrets.choice(_SUFFIX) for _ in range(5))
    flaw = Flaw("metadata.name", "is required: name or generateName")
    raise refused(kind, "", Refused("Invalid", f'{kind.name} "" is invalid: {flaw}', [flaw]))
