"""What a real API server said, replayed: the index is what a list shows, at every bookmark."""

import json
from pathlib import Path

import msgspec
import pytest

from control.index.index import Index
from control.kube.events import Decoder, Garbage, Upsert
from control.kube.failure import KubeError, of_answer
from control.kube.mirror import Mirror
from control.kube.pool import Pool
from control.kube.reflection import Ask, CutOff, Ignored, is_gone
from control.model.decode import decode
from control.model.objects import Key, Pod
from tests.control.kube.said import BY_NAME, encoded, reflection_of

RECORDINGS = Path(__file__).parents[4] / "shared" / "kubernetes" / "recordings"
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not beside the checkout")

WATCHES = {"services": "Service", "endpointslices": "EndpointSlice", "pods-shop": "Pod", "httproutes": "HTTPRoute"}
SLOTS = {"Service": "services", "EndpointSlice": "slices", "Pod": "pods", "HTTPRoute": "routes"}
LISTS = {**WATCHES, "namespaces": "Namespace", "nodes": "Node"}


def recorded(path):
    return json.loads((RECORDINGS / path).read_text())


def lines_of(name):
    lines = [json.loads(line) for line in (RECORDINGS / "watches" / f"{name}.jsonl").read_text().splitlines() if line]
    return [(encoded(line["event"]), line["event"]) for line in lines if "event" in line]


def apply(index, change):
    if change is not None:
        index.apply(change.item) if change.item is not None else index.delete(change.type, change.key)


def take(reflection, index, line):
    apply(index, reflection.on_line(line, 1.0))
    if reflection.has_all:
        for change in reflection.finish():
            apply(index, change)


def list_by_pages(reflection, index, *bodies):
    for body in bodies:
        page = reflection.on_page(encoded(body), 1.0)
        for raw in page.items:
            apply(index, reflection.on_item(raw))
    if reflection.has_all:
        for change in reflection.finish():
            apply(index, change)


def by_pages(name, mirror):
    """A reflection that has learned that lists are not streamed."""
    reflection = reflection_of(name, mirror)
    reflection.on_opened(0.0)
    reflection.on_failure(Ignored("no end"), 0.0)
    assert reflection.request().ask is Ask.PAGE
    return reflection


def items_of(mirror, name):
    return {seen.key: seen.item for seen in mirror.list(BY_NAME[name].kind)}


class Listed:
    """What a list would show, put together from the events and from nothing else."""

    def __init__(self):
        self.documents = {}

    def take(self, event):
        key = event["object"]["metadata"].get("namespace"), event["object"]["metadata"].get("name")
        if event["type"] == "DELETED":
            del self.documents[key]
        elif event["type"] != "BOOKMARK":
            self.documents[key] = event["object"]

    def items(self):
        return {Key(*key): decode(document) for key, document in self.documents.items()}


@pytest.mark.parametrize("name", WATCHES)
def test_at_each_bookmark_mirror_and_index_are_the_list_that_the_events_make(name):
    kind = WATCHES[name]
    mirror, index, listed, bookmarks = Mirror(), Index(), Listed(), 0
    reflection = reflection_of(kind, mirror)
    reflection.on_opened(0.0)
    for line, event in lines_of(name):
        listed.take(event)
        take(reflection, index, line)
        if event["type"] != "BOOKMARK":
            continue
        bookmarks += 1
        assert items_of(mirror, kind) == listed.items() == getattr(index, SLOTS[kind])
        assert reflection.version.text == event["object"]["metadata"]["resourceVersion"]
        assert mirror.version >= reflection.version.number
    assert bookmarks >= 3
    assert reflection.phase == "watching"
    assert reflection.refused == {}


@pytest.mark.parametrize("name", WATCHES)
def test_the_same_watch_from_any_older_version_changes_nothing(name):
    kind = WATCHES[name]
    mirror, index = Mirror(), Index()
    reflection = reflection_of(kind, mirror)
    reflection.on_opened(0.0)
    lines = lines_of(name)
    for line, _ in lines:
        take(reflection, index, line)
    reflection.on_ended(100.0)
    assert reflection.request().query["resourceVersion"] == reflection.version.text
    before, version = items_of(mirror, kind), mirror.version
    reflection.on_opened(101.0)
    for line, _ in lines[-20:]:
        assert reflection.on_line(line, 101.0) is None
    assert (items_of(mirror, kind), mirror.version) == (before, version)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_taken_whole_and_a_second_one_changes_nothing(name):
    kind = LISTS[name]
    mirror, index = Mirror(), Index()
    reflection = by_pages(kind, mirror)
    body = recorded(f"lists/{name}.json")["body"]
    list_by_pages(reflection, index, body)
    assert reflection.is_listed
    assert reflection.request().query["resourceVersion"] == body["metadata"]["resourceVersion"]
    assert mirror.count(BY_NAME[kind].kind) == len(body["items"]) > 0
    assert reflection.refused == reflection.ignored == {}
    told = []
    mirror.listen(told.extend)
    before = items_of(mirror, kind)
    reflection.on_failure(KubeError("gone", 410, "Expired"), 1.0)
    list_by_pages(reflection, index, body)
    mirror.tell()
    assert told == []
    assert all(item is before[key] for key, item in items_of(mirror, kind).items())


@pytest.mark.parametrize("name", WATCHES)
def test_the_watch_up_to_a_version_says_what_the_servers_own_list_of_it_does(name):
    kind = WATCHES[name]
    body = recorded(f"lists/{name}.json")["body"]
    by_list, by_watch = Mirror(), Mirror()
    list_by_pages(by_pages(kind, by_list), Index(), body)
    reflection = reflection_of(kind, by_watch)
    reflection.on_opened(0.0)
    for line, event in lines_of(name):
        if int(event["object"]["metadata"]["resourceVersion"]) <= int(body["metadata"]["resourceVersion"]):
            take(reflection, Index(), line)
    assert items_of(by_watch, kind) == items_of(by_list, kind) != {}


def test_nodes_have_their_zones_and_namespaces_their_names():
    for name in ("nodes", "namespaces"):
        kind = LISTS[name]
        body = recorded(f"lists/{name}.json")["body"]
        mirror = Mirror()
        list_by_pages(by_pages(kind, mirror), Index(), body)
        items = items_of(mirror, kind)
        assert items.keys() == {Key("", item["metadata"]["name"]) for item in body["items"]}
        if name == "nodes":
            assert {key.name: node.zone for key, node in items.items()} == {
                item["metadata"]["name"]: item["metadata"]["labels"]["topology.kubernetes.io/zone"]
                for item in body["items"]
            }


def test_pages_that_break_off_delete_nothing_and_a_whole_list_does():
    mirror, index = Mirror(), Index()
    reflection = by_pages("Pod", mirror)
    whole = recorded("lists/pods-shop.json")["body"]
    pages = [recorded(f"lists/pods-page-{number}.json")["body"] for number in (1, 2)]
    stranger = json.loads(json.dumps(whole["items"][0]).replace("checkout", "stranger"))
    list_by_pages(reflection, index, {**whole, "items": [*whole["items"], stranger]})
    reflection.on_failure(KubeError("gone", 410, "Expired"), 1.0)
    for number, page in enumerate(pages):
        assert reflection.request().query.get("continue", "") == (
            "" if not number else pages[0]["metadata"]["continue"]
        )
        list_by_pages(reflection, index, page)
    # What a request beyond the last page is answered with when it waited too long, over the real server's message.
    reflection.on_failure(of_answer("GET", 410, encoded({"kind": "Status", "reason": "Expired", "code": 410})), 1.0)
    assert mirror.count(BY_NAME["Pod"].kind) == len(whole["items"]) + 1
    list_by_pages(reflection, index, whole)
    assert items_of(mirror, "Pod") == index.pods
    assert index.pods.keys() == {
        Key(item["metadata"]["namespace"], item["metadata"]["name"]) for item in whole["items"]
    }


def test_metadata_alone_is_taken_of_kinds_that_are_watched_so_and_is_garbage_for_the_others():
    body = recorded("lists/pods-metadata-only.json")["body"]
    for item in body["items"]:
        item["metadata"].pop("namespace")
    mirror = Mirror()
    list_by_pages(by_pages("Node", mirror), Index(), body)
    assert mirror.count(BY_NAME["Node"].kind) == len(body["items"])
    reflection = by_pages("Pod", Mirror())
    with pytest.raises(Garbage, match="PartialObjectMetadataList"):
        reflection.on_page(encoded(body), 1.0)


def test_a_list_of_another_kind_is_garbage():
    reflection = by_pages("HTTPRoute", Mirror())
    with pytest.raises(Garbage, match="GRPCRouteList"):
        reflection.on_page(encoded(recorded("lists/grpcroutes.json")["body"]), 1.0)


def test_a_watch_that_the_server_ends_before_the_list_is_whole_gives_up_nothing():
    mirror, index = Mirror(), Index()
    reflection = by_pages("Namespace", mirror)
    list_by_pages(reflection, index, recorded("lists/namespaces.json")["body"])
    before = items_of(mirror, "Namespace")
    again = reflection_of("Namespace", mirror)
    again.on_opened(0.0)
    for line, _ in lines_of("timeout"):
        assert again.on_line(line, 0.0) is None
    with pytest.raises(CutOff) as cut:
        again.on_ended(5.0)
    again.on_failure(cut.value, 5.0)
    assert again.request().ask is Ask.PAGE
    assert items_of(mirror, "Namespace") == before != {}


def test_410_in_a_watch_is_read_as_such():
    reflection = reflection_of("EndpointSlice", Mirror())
    reflection.on_opened(0.0)
    line = recorded("errors/gone-410-old-version.json")["first_bytes"].encode()
    with pytest.raises(KubeError, match="too old resource version: 1") as error:
        reflection.on_line(line.strip(), 0.0)
    assert is_gone(error.value)
    assert not isinstance(error.value, Garbage)


def test_an_empty_page_of_another_version_does_not_end_a_list():
    """As this server answers a `continue` of long ago: with what came then, which is nothing, and HTTP 200."""
    mirror = Mirror()
    reflection = by_pages("Pod", mirror)
    whole = recorded("lists/pods-shop.json")["body"]
    list_by_pages(reflection, Index(), whole)
    reflection.on_failure(KubeError("gone", 410, "Expired"), 1.0)
    list_by_pages(reflection, Index(), recorded("lists/pods-page-1.json")["body"])
    with pytest.raises(Garbage, match="different resourceVersions") as error:
        reflection.on_page(encoded(recorded("errors/expired-continue.json")["body"]), 1.0)
    reflection.on_failure(error.value, 1.0)
    assert reflection.request().query == {"limit": "500"}
    assert mirror.count(BY_NAME["Pod"].kind) == len(whole["items"])


@pytest.mark.parametrize(("name", "code"), [("unknown-kind", 404), ("forbidden", 403), ("unauthorized", 401)])
def test_refusals_leave_what_is_known_as_it_is(name, code):
    found = recorded(f"errors/{name}.json")
    body = found["body"]
    error = of_answer("GET /x", found["status"], body.encode() if isinstance(body, str) else encoded(body))
    assert error.code == code
    mirror = Mirror()
    kind = "HTTPRoute" if code == 404 else "Pod"
    reflection = by_pages(kind, mirror)
    body = recorded(f"lists/{'httproutes' if code == 404 else 'pods-shop'}.json")["body"]
    list_by_pages(reflection, Index(), body)
    before = items_of(mirror, kind)
    assert reflection.on_failure(error, 1.0) is False
    assert reflection.request().ask is (Ask.LOOK if code == 404 else Ask.WATCH)
    assert items_of(mirror, kind) == before != {}
    assert reflection.phase == "lost"
    assert reflection.failure == str(error)


def test_shared_parts_leave_objects_equal():
    pool = Pool()
    decoder = Decoder(BY_NAME["Pod"], pool)
    documents = [event["object"] for _, event in lines_of("pods-shop") if event["type"] == "MODIFIED"]
    items = [msgspec.Raw(encoded(document)) for document in documents]
    read = [decoder.item(raw) for raw in items]
    assert all(isinstance(item, Upsert) for item in read)
    assert [item.item for item in read] == [msgspec.json.decode(raw, type=Pod) for raw in items]
    labels = [item.item.metadata.labels for item in read]
    assert len({id(label) for label in labels}) == len({json.dumps(label) for label in labels}) < len(labels)
