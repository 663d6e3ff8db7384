"""Route statuses over a real store: written once, by one controller among others, whatever goes wrong meanwhile."""

import asyncio
import contextlib
import logging
from functools import partial

import msgspec

from control import status as module
from control.model.kinds import HTTP_ROUTE, find
from control.model.objects import Key
from control.store.store import StoreError
from control.store.verbs import Write, create, patch_status, set_status
from tests.control.build import http_route, rule, service
from tests.fakes.embedded import following
from tests.fakes.loop import on_uvloop, until

ECHO = Key("shop", "echo")
FOREIGN = {
    "parentRef": {"name": "gate"},
    "controllerName": "example.com/gate",
    "conditions": [
        {
            "type": "Accepted",
            "status": "True",
            "reason": "Accepted",
            "message": "",
            "lastTransitionTime": "2026-01-31T12:00:00Z",
        }
    ],
}


class Through:
    """A store as the writer sees it, with another `mutate`."""

    def __init__(self, store, mutate):
        self.get = store.get
        self.mutate = mutate


@contextlib.asynccontextmanager
async def running(directory):
    """A store, and the writer that follows it as in the control plane."""
    async with following(directory) as (source, _):
        yield source.objects, source.statuses


async def make(store, document):
    kind = find(document["kind"])
    key = Key(document["metadata"]["namespace"], document["metadata"]["name"])
    write = Write(kind, key, "test", "2026-01-31T12:00:00Z", "uid")
    return await store.mutate(kind, key, partial(create, document=document, write=write))


def status_in(store, key=ECHO):
    stored = store.get(HTTP_ROUTE, key)
    return msgspec.json.decode(stored.body).get("status") if stored is not None else None


def said(store, key=ECHO):
    """Type and status of the conditions of our first parent."""
    for parent in (status_in(store, key) or {}).get("parents", ()):
        if parent["controllerName"].startswith("meshproxy.io/"):
            return {item["type"]: item["status"] for item in parent["conditions"]}
    return {}


GOOD = {"Accepted": "True", "ResolvedRefs": "True"}


@on_uvloop
async def test_a_status_follows_what_the_route_refers_to_and_is_then_written_no_more(tmp_path):
    async with running(tmp_path) as (store, writer):
        await make(store, http_route("echo", rule("echo")))
        await until(lambda: said(store).get("Accepted") == "False")
        await make(store, service("echo"))
        await until(lambda: said(store) == GOOD)
        version = store.version
        for _ in range(5):
            writer.on_routes({ECHO})
            await asyncio.sleep(0.01)
        # route, status, Service, status: each write of a status comes back as an event, and ends there.
        assert store.version == version == 4


@on_uvloop
async def test_a_status_that_was_overtaken_by_another_controllers_is_written_on_top_of_it(tmp_path):
    async with running(tmp_path) as (store, writer):
        await make(store, service("echo"))
        await make(store, http_route("echo", rule("echo")))
        await until(lambda: said(store) == GOOD)
        # Ours is thrown away, and in the moment in which the writer has read that, another one speaks.
        write = Write(HTTP_ROUTE, ECHO)
        real, spoke = store.mutate, []

        async def mutate(kind, key, change, **options):
            if not spoke:
                spoke.append(True)
                await real(kind, key, partial(patch_status, patch={"status": {"parents": [FOREIGN]}}, write=write))
            return await real(kind, key, change, **options)

        writer._store = Through(store, mutate)
        await real(HTTP_ROUTE, ECHO, partial(set_status, status={"parents": []}, write=write))
        await until(lambda: said(store) == GOOD and len(status_in(store)["parents"]) == 2)


@on_uvloop
async def test_a_route_whose_status_cannot_be_told_does_not_keep_the_others_from_theirs(tmp_path, monkeypatch, caplog):
    real = module.status_of

    def broken(index, route, former, now):
        if route.metadata.name == "bad":
            raise ZeroDivisionError
        return real(index, route, former, now)

    monkeypatch.setattr(module, "status_of", broken)
    async with running(tmp_path) as (store, _):
        await make(store, http_route("bad", rule("echo")))
        await until(lambda: "the status of shop/bad cannot be told" in caplog.text)
        await make(store, http_route("echo", rule("echo")))
        await until(lambda: said(store))


@on_uvloop
async def test_a_store_that_refuses_is_asked_again_until_it_takes_the_status(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    caplog.set_level(logging.WARNING)
    async with running(tmp_path) as (store, writer):
        real, refusals = store.mutate, []

        async def mutate(*arguments, **options):
            if len(refusals) < 20:
                refusals.append(arguments)
                raise StoreError("the disk is full; nothing was changed")
            return await real(*arguments, **options)

        writer._store = Through(store, mutate)
        await make(store, http_route("echo", rule("echo")))
        await until(lambda: said(store))
    assert len(refusals) == 20
    assert not caplog.records


COUNT = 200


@on_uvloop
async def test_many_routes_get_each_one_write(tmp_path):
    async with running(tmp_path) as (store, _):
        await make(store, service("echo"))
        await asyncio.gather(*(make(store, http_route(f"r{i}", rule("echo"), parents=["echo"])) for i in range(COUNT)))
        await until(lambda: all(said(store, Key("shop", f"r{i}")) == GOOD for i in range(COUNT)))
        assert store.version == 1 + 2 * COUNT
