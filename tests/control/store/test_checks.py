"""What is told of the embedded store."""

import json

from control.model.kinds import SERVICE
from control.model.objects import Key
from control.store import checks as store_checks
from control.store.checks import checks
from control.store.store import Store
from tests.control.build import service
from tests.fakes.loop import on_uvloop


async def put(store, document):
    metadata = document["metadata"]
    await store.mutate(SERVICE, Key(metadata["namespace"], metadata["name"]), lambda _: document)


@on_uvloop
async def test_what_is_there_is_counted(tmp_path):
    store = await Store.open(tmp_path)
    await put(store, service("echo"))
    (check,) = await checks(store, 0)
    assert (check.state, check.message) == (
        "ok",
        "1 services, 0 pods, 0 endpointslices, 0 httproutes, 0 referencegrants; version 1",
    )
    await store.close()


@on_uvloop
async def test_objects_that_cannot_be_read_are_told_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(store_checks, "MAX_TOLD", 2)
    store = await Store.open(tmp_path)
    await put(store, service("echo"))
    for name in "abc":
        await put(store, json.loads(json.dumps(service(name)).replace('"port": 80', '"port": "x"')))
    assert len(await checks(store, 0)) == 1
    found = await checks(store, 3)
    assert [(check.name, check.state) for check in found[1:]] == [
        ("service/shop/a", "fail"),
        ("service/shop/b", "fail"),
        ("and more", "fail"),
    ]
    assert "spec.ports[0].port" in found[1].message
    assert found[1].hint
    assert found[-1].message.startswith("1 ")
    await store.close()
