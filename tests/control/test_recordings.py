"""Objects and watches as a real API server shows them are taken, all of them, and compile."""

import json
from pathlib import Path

import pytest

from control.cli.load import load
from control.compile.compiler import Compiler
from control.compile.status import route_status
from control.index.index import Index
from control.index.links import Links
from control.model.decode import decode
from control.model.objects import Key
from tests.control.build import compiled

RECORDINGS = Path(__file__).parents[3] / "shared" / "kubernetes" / "recordings"
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not beside the checkout")

WATCHED = {"services": "services", "endpointslices": "slices", "pods-shop": "pods", "httproutes": "routes"}
"""The recordings of kinds that are kept, with the index's name for each."""


def index_of_lists(tmp_path):
    for name in WATCHED:
        body = json.loads((RECORDINGS / "lists" / f"{name}.json").read_text())["body"]
        (tmp_path / f"{name}.json").write_text(json.dumps(body))
    loaded = load([str(tmp_path)])
    assert loaded.errors == []
    assert loaded.skipped == {}
    index = Index()
    for item in loaded.objects:
        index.apply(item)
    return index


def events_of(name):
    """The events of a recorded watch with their times, in order."""
    lines = [json.loads(line) for line in (RECORDINGS / "watches" / f"{name}.jsonl").read_text().splitlines() if line]
    return [(line["at_s"], line["event"]) for line in lines if "event" in line]


def place_of(document):
    return Key(document["metadata"]["namespace"], document["metadata"]["name"])


def version_of(document):
    return int(document["metadata"]["resourceVersion"])


class Listed:
    """What a list would show: the documents of one kind, put together from the events and from nothing else."""

    def __init__(self):
        self.version = 0
        self.documents = {}

    def take(self, event):
        self.version = version_of(event["object"])
        if event["type"] == "DELETED":
            del self.documents[place_of(event["object"])]
        elif event["type"] != "BOOKMARK":
            self.documents[place_of(event["object"])] = event["object"]

    def objects(self):
        return {key: decode(document) for key, document in self.documents.items()}


def apply(index, event):
    item = decode(event["object"])
    return index.delete(type(item), item.key) if event["type"] == "DELETED" else index.apply(item)


def test_lists_of_a_real_cluster_compile(tmp_path):
    index = index_of_lists(tmp_path)
    entries = compiled(index).entries
    routes = entries["routes/shop/payment:80"].resource
    assert [match.rule for match in routes.matches] == [0, 1]
    assert routes.rules[1].timeouts.request_s == 2.0
    slices = {slice_.service for slice_ in index.slices.values()}
    assert Key("shop", "front") in slices
    front = entries["endpoints/shop/front:80"].resource.endpoints
    assert front
    # Of a dual-stack Service each Pod counts once.
    pods = [slice_.pod_of(item) for slice_ in index.slices_of(Key("shop", "front")) for item in slice_.endpoints]
    assert len(front) == len(set(pods))


def test_every_recorded_watch_of_a_kind_that_is_kept_is_replayed():
    kept = set()
    for path in (RECORDINGS / "watches").glob("*.jsonl"):
        kinds = {event["object"]["kind"] for _, event in events_of(path.stem) if event["type"] != "ERROR"}
        if kinds & {"Service", "EndpointSlice", "Pod", "HTTPRoute", "ReferenceGrant"}:
            kept.add(path.stem)
    assert kept == WATCHED.keys()


@pytest.mark.parametrize("name", WATCHED)
def test_at_each_bookmark_the_index_is_the_list_that_the_events_make(name):
    index, listed, bookmarks = Index(), Listed(), 0
    for _, event in events_of(name):
        listed.take(event)
        if event["type"] != "BOOKMARK":
            apply(index, event)
            continue
        bookmarks += 1
        assert getattr(index, WATCHED[name]) == listed.objects()
        rebuilt = Index()
        for item in listed.objects().values():
            rebuilt.apply(item)
        for slot in Index.__slots__:
            kept, anew = getattr(index, slot), getattr(rebuilt, slot)
            assert kept._sources == anew._sources if isinstance(kept, Links) else kept == anew, slot
    assert bookmarks >= 3


@pytest.mark.parametrize("name", WATCHED)
def test_at_the_lists_version_the_index_is_the_servers_own_list(name):
    body = json.loads((RECORDINGS / "lists" / f"{name}.json").read_text())["body"]
    index = Index()
    for _, event in events_of(name):
        if event["type"] != "BOOKMARK" and version_of(event["object"]) <= int(body["metadata"]["resourceVersion"]):
            apply(index, event)
    kind = body["kind"].removesuffix("List")
    items = [decode({"apiVersion": body["apiVersion"], "kind": kind, **item}) for item in body["items"]]
    given = getattr(index, WATCHED[name])
    assert given.keys() == {item.key for item in items}
    assert given == {item.key: item for item in items}


def test_all_watches_together_compile_step_by_step_as_from_scratch():
    events = [timed for name in WATCHED for timed in events_of(name) if timed[1]["type"] != "BOOKMARK"]
    events.sort(key=lambda timed: timed[0])
    index = Index()
    compiler = Compiler(index)
    for number, (_, event) in enumerate(events):
        before = dict(compiler.entries)
        changed = compiler.refresh(apply(index, event))
        names = before.keys() | compiler.entries.keys()
        assert changed == {name for name in names if before.get(name) != compiler.entries.get(name)}
        if number % 10 == 0:
            assert compiler.snapshot() == compiled(index).snapshot()
    assert compiler.snapshot() == compiled(index).snapshot()
    (status,) = route_status(index, index.routes[Key("shop", "payment-canary")])
    assert status.is_accepted
