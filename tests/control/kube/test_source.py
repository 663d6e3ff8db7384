"""All kinds at once, over real sockets against a fake API server."""

import asyncio
import logging
import random
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from tenacity import wait_random_exponential

from control.index.index import Index
from control.kube import connection, reflector
from control.kube.client import Client
from control.kube.mirror import Mirror
from control.kube.resources import WATCHED
from control.kube.source import MAX_NAMED, Source
from control.model.objects import EndpointSlice, Key, Namespace, Node, Pod, Service
from control.model.routes import HTTPRoute, ReferenceGrant
from tests.control.build import document, endpoint_slice, grant, http_route, pod, rule, service
from tests.fakes.kubernetes import faults
from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.loop import on_uvloop, passed, until

SLOTS = {Service: "services", EndpointSlice: "slices", Pod: "pods", HTTPRoute: "routes"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(reflector, "_BACKOFF", wait_random_exponential(multiplier=0.002, max=0.02))
    monkeypatch.setattr(reflector, "SETTLED_S", 0.1)
    monkeypatch.setattr(reflector, "LOOK_S", 0.05)


@pytest.fixture
def api():
    with FakeApi(bookmark_s=0.1) as made:
        made.put(
            cluster("Node", "n1", labels={"topology.kubernetes.io/zone": "a"}), cluster("Namespace", "shop"),
            service("web"), service("pay", 81), endpoint_slice("web", "10.0.0.1"), pod("web-1"), pod("web-2", "buyer"),
            http_route("web", rule("pay")), grant("g", "shop"),
        )  # fmt: skip
        yield made


def cluster(kind, name, **metadata):
    made = document("v1", kind, name, metadata=metadata)
    del made["metadata"]["namespace"]
    return made


class Followed:
    """A source, and an index that is kept by it."""

    def __init__(self, client):
        self.mirror = Mirror()
        self.index = Index()
        self.registry = CollectorRegistry()
        self.loaded = 0
        self.changes = []
        self.source = Source(
            client, self.mirror, on_ready=self.load, on_changes=self.take, registry=self.registry, rng=random.Random(1)
        )

    def load(self):
        self.loaded += 1
        for watched in WATCHED:
            for seen in self.mirror.list(watched.kind):
                self.index.apply(seen.item)

    def take(self, changes):
        self.changes += changes
        for kind, key, item in changes:
            self.index.apply(item) if item is not None else self.index.delete(kind, key)

    def state(self, name):
        (found,) = (state for state in self.source.kinds if state.kind == name)
        return found

    def check(self):
        """The index holds what the mirror does."""
        for watched in WATCHED:
            items = {seen.key: seen.item for seen in self.mirror.list(watched.kind)}
            if watched.type in SLOTS:
                assert getattr(self.index, SLOTS[watched.type]) == items

    def keys(self, kind):
        return {seen.key for seen in self.mirror.list(next(item.kind for item in WATCHED if item.type is kind))}


@asynccontextmanager
async def following(api, tmp_path):
    client = Client(connection.load(api.kubeconfig(tmp_path / "config"), ""))
    made = Followed(client)
    task = asyncio.create_task(made.source.run())
    try:
        yield made
        assert not task.done()
        made.check()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


def same(followed, api):
    """Whether the mirror shows what the server has."""
    return all(
        followed.keys(watched.type)
        == {Key(item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in api.list(watched.name)}
        for watched in WATCHED
    )


@on_uvloop
async def test_every_kind_is_listed_then_ready_then_followed(api, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    async with following(api, tmp_path) as found:
        assert not found.source.is_ready
        await until(lambda: found.source.is_ready)
        assert found.loaded == 1
        assert same(found, api)
        assert found.changes == []
        assert {state.kind: state.objects for state in found.source.kinds} == {
            "Service": 2, "EndpointSlice": 1, "Pod": 2, "Node": 1, "Namespace": 1, "HTTPRoute": 1, "ReferenceGrant": 1,
        }  # fmt: skip
        assert {state.phase for state in found.source.kinds} == {"watching"}
        (node,) = found.mirror.list(next(item.kind for item in WATCHED if item.type is Node))
        assert node.item.zone == "a"
        api.put(pod("web-3"))
        api.delete(service("pay"))
        await until(lambda: len(found.changes) == 2)
        assert same(found, api)
        assert {(change.type, change.key.name, change.item is None) for change in found.changes} == {
            (Pod, "web-3", False), (Service, "pay", True),
        }  # fmt: skip
        assert found.keys(Namespace) == {Key("", "shop")}
        assert found.keys(ReferenceGrant) == {Key("bank", "g")}
    (record,) = caplog.records
    assert (
        "2 Service, 2 Pod, 1 EndpointSlice, 1 Node, 1 Namespace, 1 HTTPRoute, 1 ReferenceGrant" in record.getMessage()
    )
    accepts = {asked.resource: asked.headers["accept"] for asked in api.asked if asked.verb == "watch"}
    assert "as=PartialObjectMetadata;" in accepts["nodes"]
    assert accepts["pods"] == "application/json"


@pytest.mark.parametrize("behaviour", ["refused", "ignored"])
def test_a_server_that_does_not_stream_lists_is_read_by_pages(api, tmp_path, behaviour, monkeypatch):
    monkeypatch.setattr("control.kube.reflection.PAGE_OBJECTS", 1)
    api.behave(watch_list=behaviour)

    @on_uvloop
    async def run():
        async with following(api, tmp_path) as found:
            await until(lambda: found.source.is_ready)
            assert same(found, api)
            api.put(service("new"))
            await until(lambda: Key("shop", "new") in found.index.services)

    run()
    pages = [asked.query for asked in api.asked if (asked.verb, asked.resource) == ("list", "services")]
    assert [bool(query.get("continue")) for query in pages] == [False, True]


@on_uvloop
async def test_a_server_that_was_away_is_back_and_nothing_flapped(api, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    async with following(api, tmp_path) as found:
        await until(lambda: found.source.is_ready)
        await asyncio.to_thread(api.kill)
        await until(lambda: {state.phase for state in found.source.kinds} == {"lost"})
        assert all(state.failure for state in found.source.kinds)
        assert len(found.index.services) == 2
        api.put(service("meanwhile"))
        api.delete(pod("web-2"))
        await passed(0.1)
        await asyncio.to_thread(api.start)
        await until(lambda: {state.phase for state in found.source.kinds} == {"watching"} and same(found, api))
        await until(lambda: len(found.changes) == 2)
        assert found.source.is_ready
    lost = [record.getMessage() for record in caplog.records if ": lost;" in record.getMessage()]
    assert len(lost) == len(WATCHED)


@on_uvloop
async def test_the_first_kind_that_is_served_again_wakes_the_others(api, tmp_path, monkeypatch):
    waits = iter([0.0] * len(WATCHED) + [0.2] + [1000.0] * 100)
    async with following(api, tmp_path) as found:
        await until(lambda: found.source.is_ready)
        monkeypatch.setattr(reflector, "_BACKOFF", lambda _: next(waits))
        await asyncio.to_thread(api.kill)
        await until(lambda: {state.phase for state in found.source.kinds} == {"lost"})
        await asyncio.to_thread(api.start)
        await until(lambda: {state.phase for state in found.source.kinds} == {"watching"})


@pytest.mark.parametrize(
    "fault",
    [faults.html(), faults.too_many("0"), faults.broken(), faults.unauthorized(), faults.garbage(b'{"kind":"List"}')],
    ids=["html", "429", "500", "401", "a list of nothing"],
)
def test_whatever_a_server_answers_what_is_known_stays(api, tmp_path, fault):
    @on_uvloop
    async def run():
        async with following(api, tmp_path) as found:
            await until(lambda: found.source.is_ready)
            heal = api.fail(fault)
            api.cut()
            await until(lambda: any(state.phase == "lost" for state in found.source.kinds))
            api.put(service("meanwhile"))
            await passed(0.1)
            assert {"web", "pay"} == {key.name for key in found.index.services}
            assert found.changes == []
            heal()
            await until(lambda: same(found, api) and {state.phase for state in found.source.kinds} == {"watching"})
            assert [change.key.name for change in found.changes] == ["meanwhile"]

    run()


@pytest.mark.parametrize(
    "said",
    [faults.BROKEN_LINE, faults.WRONG_KIND_LINE, b"<html>\n", faults.TRUNCATED_LINE + b"\n"],
    ids=["broken", "another kind", "html", "cut"],
)
def test_garbage_in_a_watch_changes_nothing(api, tmp_path, said):
    @on_uvloop
    async def run():
        async with following(api, tmp_path) as found:
            await until(lambda: found.source.is_ready)
            api.inject(said, "endpointslices")
            await until(lambda: found.state("EndpointSlice").lists == 2)
            await until(lambda: found.state("EndpointSlice").phase == "watching")
            api.put(endpoint_slice("pay", "10.0.0.9"))
            await until(lambda: len(found.changes) == 1)
            assert same(found, api)

    run()


def test_watches_that_are_silent_are_noticed(api, tmp_path, monkeypatch):
    monkeypatch.setattr(reflector, "SILENT_S", 0.4)

    @on_uvloop
    async def run():
        async with following(api, tmp_path) as found:
            await until(lambda: found.source.is_ready)
            api.silence("services")
            api.put(service("unheard"))
            await until(lambda: Key("shop", "unheard") in found.index.services)
            assert found.state("Service").lists == 2
            assert found.state("Pod").lists == 1

    run()


def test_a_server_that_was_restored_from_a_backup_is_believed(api, tmp_path, monkeypatch):
    monkeypatch.setattr(reflector, "SILENT_S", 0.4)

    @on_uvloop
    async def run():
        saved = api.backup()
        for number in range(10):
            api.put(service(f"later-{number}"))
        async with following(api, tmp_path) as found:
            await until(lambda: found.source.is_ready and len(found.index.services) == 12)
            await asyncio.to_thread(api.restore, saved)
            await until(lambda: same(found, api))
            assert {key.name for key in found.index.services} == {"web", "pay"}
            api.put(service("now"))
            await until(lambda: Key("shop", "now") in found.index.services)

    run()


@on_uvloop
async def test_old_versions_are_listed_anew_and_compared(api, tmp_path):
    async with following(api, tmp_path) as found:
        await until(lambda: found.source.is_ready)
        await asyncio.to_thread(api.kill)
        api.delete(pod("web-1"))
        api.put(pod("web-9"), service("web", 99))
        api.compact()
        await asyncio.to_thread(api.start)
        await until(lambda: same(found, api) and len(found.changes) == 3)
        assert {(change.key.name, change.item is None) for change in found.changes} == {
            ("web-1", True), ("web-9", False), ("web", False),
        }  # fmt: skip


@on_uvloop
async def test_kinds_that_are_not_installed_do_not_keep_it_from_being_ready(api, tmp_path):
    api.uninstall("httproutes")
    api.uninstall("referencegrants")
    async with following(api, tmp_path) as found:
        await until(lambda: found.source.is_ready)
        assert found.state("HTTPRoute").phase == "absent"
        api.install("httproutes", "v1")
        api.install("referencegrants", "v1beta1")
        api.put(http_route("web", rule("pay")))
        await until(lambda: found.index.routes)
        await until(lambda: found.state("ReferenceGrant").phase == "watching")
        assert found.state("ReferenceGrant").api_version.endswith("/v1beta1")


@on_uvloop
async def test_a_kind_that_is_removed_takes_its_objects_with_it_and_comes_again(api, tmp_path):
    async with following(api, tmp_path) as found:
        await until(lambda: found.source.is_ready)
        api.uninstall("httproutes")
        await until(lambda: not found.index.routes and found.state("HTTPRoute").phase == "absent")
        api.install("httproutes")
        api.put(http_route("web", rule("web")))
        await until(lambda: found.index.routes)


@on_uvloop
async def test_what_is_forbidden_is_told_and_the_others_are_listed(api, tmp_path):
    rules = [{"apiGroups": ["*"], "resources": [item.kind.plural], "verbs": ["list", "watch"]} for item in WATCHED]
    api.allow({"rules": rules[1:]})
    async with following(api, tmp_path) as found:
        await until(lambda: sum(state.is_listed for state in found.source.kinds) == len(WATCHED) - 1)
        await until(lambda: "forbidden" in found.state("Service").failure)
        assert not found.source.is_ready
        api.allow(None)
        await until(lambda: found.source.is_ready)


@on_uvloop
async def test_objects_that_are_not_understood_are_named(api, tmp_path):
    odd_port = {"ports": [{"name": "", "port": 99999}]}
    api.put({**endpoint_slice("web", "10.0.0.1", name="bad"), **odd_port}, http_route("odd", rule("pay", unheard=1)))
    async with following(api, tmp_path) as found:
        await until(lambda: found.source.is_ready)
        (bad,), (odd,) = found.source.refused, found.source.ignored
        assert (bad.kind, bad.key) == ("EndpointSlice", Key("shop", "bad"))
        assert "99999 is no port" in bad.message
        assert (odd.kind, odd.key, odd.message) == ("HTTPRoute", Key("shop", "odd"), "spec.rules[0].unheard")
        assert Key("shop", "bad") not in found.index.slices
        assert Key("shop", "odd") in found.index.routes
        more = (endpoint_slice("web", "10.0.0.1", name=f"bad-{number}") for number in range(MAX_NAMED + 20))
        api.put(*({**made, **odd_port} for made in more))
        await until(lambda: found.state("EndpointSlice").refused == MAX_NAMED + 21)
        assert len(found.source.refused) == MAX_NAMED
        assert found.registry.get_sample_value("meshcontrol_kube_objects_refused", {"kind": "EndpointSlice"}) == 121
        assert found.registry.get_sample_value("meshcontrol_kube_listed", {"kind": "Pod"}) == 1


@on_uvloop
async def test_a_change_that_cannot_be_taken_is_told_and_the_next_is_taken(api, tmp_path, caplog):
    async with following(api, tmp_path) as found:
        await until(lambda: found.source.is_ready)
        take, found.source._on_changes = found.source._on_changes, fail
        api.put(service("a"))
        await until(lambda: "1 changes could not be taken" in caplog.text)
        found.source._on_changes = take
        api.put(service("b"))
        await until(lambda: Key("shop", "b") in found.index.services)
        found.index.apply(found.mirror.get(next(item.kind for item in WATCHED), Key("shop", "a")).item)


def fail(_):
    raise ValueError("a defect")
