"""The fake API server says what a real one was recorded to say."""

import contextlib
import http.client
import json
from pathlib import Path

import msgspec
import pytest

from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.kubernetes.resources import BUILT_IN, GATEWAY_API
from tests.fakes.kubernetes.state import Cluster, Event, Item

RECORDINGS = Path(__file__).parents[4] / "shared" / "kubernetes" / "recordings"
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not beside the checkout")

BY_KIND = {resource.kind: resource for resource in (*BUILT_IN, *GATEWAY_API)}
LISTS = ("endpointslices", "httproutes", "namespaces", "nodes", "pods-page-1", "pods-page-2", "pods-shop", "services")
WATCHES = ("endpointslices", "httproutes", "pods-shop", "services", "timeout")
VERSION = 853
"""When the lists were made."""
METADATA = {"accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}


def recorded(name):
    return json.loads((RECORDINGS / f"{name}.json").read_text())


def ask(api, path, headers=None):
    """Status, media type and body of a GET."""
    with contextlib.closing(http.client.HTTPConnection(api.host, api.port, timeout=10)) as connection:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        body = response.read()
    kind = response.getheader("content-type")
    return response.status, kind, json.loads(body) if kind == "application/json" else body.decode()


def item_of(document):
    metadata = document["metadata"]
    body = msgspec.json.encode({name: part for name, part in document.items() if name not in {"apiVersion", "kind"}})
    return Item(metadata.get("namespace", ""), metadata["name"], int(metadata["resourceVersion"]), body)


def listed_cluster():
    """What the lists showed, as it was then."""
    cluster = Cluster()
    for name in LISTS:
        if "page" not in name:
            body = recorded(f"lists/{name}")["body"]
            resource = BY_KIND[body["kind"].removesuffix("List")]
            cluster.shelf(resource).fill([item_of(document) for document in body["items"]])
    cluster.version = VERSION
    return cluster


@pytest.fixture(scope="module")
def api():
    with FakeApi(cluster=listed_cluster()) as api:
        yield api


def test_every_recorded_reading_is_replayed():
    seen = {path.stem for path in (RECORDINGS / "lists").glob("*.json")}
    assert seen == {*LISTS, "pods-metadata-only", "grpcroutes"}, "GRPCRoutes are not served"
    assert {path.stem for path in (RECORDINGS / "watches").glob("*.jsonl")} == set(WATCHES)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_the_recorded_one_to_the_letter(api, name):
    known = recorded(f"lists/{name}")
    status, kind, body = ask(api, known["request"]["path"])
    assert (status, kind) == (known["status"], known["headers"]["Content-Type"])
    assert body == known["body"]


def test_a_list_of_metadata_is_the_recorded_one_to_the_letter(api):
    known = recorded("lists/pods-metadata-only")
    assert ask(api, known["request"]["path"], METADATA)[2] == known["body"]


@pytest.mark.parametrize("name", ["errors/not-found", "errors/unknown-kind", "errors/expired-continue"])
def test_an_answer_is_the_recorded_one_to_the_letter(api, name):
    known = recorded(name)
    status, kind, body = ask(api, known["request"]["path"])
    assert (status, kind, body) == (known["status"], known["headers"]["Content-Type"], known["body"])


def test_who_is_not_known_and_who_may_not_are_told_as_recorded():
    with FakeApi(token="good") as api:
        known = recorded("errors/unauthorized")
        assert ask(api, "/api/v1/pods", {"authorization": "Bearer bad"})[::2] == (known["status"], known["body"])
        api.allow({"rules": []})
        known = recorded("errors/forbidden")
        status, _, body = ask(api, "/api/v1/pods", {"authorization": "Bearer good"})
        body["message"] = body["message"].replace("mesh:meshcontrol", "consumer:viewer")
        assert (status, body) == (known["status"], known["body"])


def test_a_version_that_is_too_old_is_an_event_of_a_success(api):
    known = recorded("errors/gone-410-old-version")
    with FakeApi(cluster=listed_cluster()) as late:
        late.in_loop(lambda server: setattr(server.cluster, "version", 920))
        late.kill()
        late.start()
        status, _, body = ask(late, known["request"]["path"])
    assert status == known["status"]
    assert body == json.loads(known["first_bytes"])


def test_a_version_of_the_future_is_met_with_silence(api):
    known = recorded("errors/future-version")
    path = known["request"]["path"].replace("timeoutSeconds=3", "timeoutSeconds=1")
    with contextlib.closing(http.client.HTTPConnection(api.host, api.port, timeout=10)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        assert (response.status, response.read().decode()) == (known["status"], known["first_bytes"])


class Replay:
    """A recorded watch: what was there at its start, and what happened."""

    def __init__(self, name):
        lines = (RECORDINGS / "watches" / f"{name}.jsonl").read_text().splitlines()
        self.path = json.loads(lines[0])["request"]["path"]
        events = [line["event"] for line in map(json.loads, lines[1:]) if "event" in line]
        self.events = [event for event in events if event["type"] != "ERROR"]
        kinds = [event["object"]["kind"] for event in self.events]
        self.resource = BY_KIND[kinds[0]]
        marks = [place for place, event in enumerate(self.events) if event["type"] == "BOOKMARK"]
        self.begun = marks[0] if marks else len(self.events)

    def cluster(self):
        cluster = Cluster()
        before = self.events[: self.begun]
        cluster.shelf(self.resource).fill([item_of(event["object"]) for event in before])
        last = self.events[min(self.begun, len(self.events) - 1)]
        cluster.version = int(last["object"]["metadata"]["resourceVersion"])
        return cluster

    def play(self, cluster):
        shelf = cluster.shelf(self.resource)
        for event in self.events[self.begun + 1 :]:
            cluster.version = max(cluster.version, int(event["object"]["metadata"]["resourceVersion"]))
            if event["type"] != "BOOKMARK":
                item = item_of(event["object"])
                shelf.apply(Event(item.version, event["type"], item, shelf.items.get(item.key)))


def is_timed(event):
    """A bookmark that comes about every minute."""
    return event["type"] == "BOOKMARK" and "annotations" not in event["object"]["metadata"]


@pytest.mark.parametrize("name", WATCHES)
def test_a_watch_is_the_recorded_one_event_by_event(name):
    replay = Replay(name)
    path = replay.path.replace("timeoutSeconds=5", "timeoutSeconds=1")
    with (
        FakeApi(cluster=replay.cluster(), bookmark_s=0.05) as api,
        contextlib.closing(http.client.HTTPConnection(api.host, api.port, timeout=10)) as connection,
    ):
        connection.request("GET", path)
        response = connection.getresponse()
        assert (response.status, response.getheader("content-type")) == (200, "application/json")
        api.wait_watching()
        api.in_loop(lambda server: replay.play(server.cluster))
        seen, timed = [], []
        while line := response.readline():
            event = json.loads(line)
            (timed if is_timed(event) else seen).append(event)
            if is_timed(event) and event["object"]["metadata"]["resourceVersion"] == str(api.version):
                break
        response.close()
    assert seen == [event for event in replay.events if not is_timed(event)]
    for event in (*timed, *filter(is_timed, replay.events)):
        event["object"]["metadata"]["resourceVersion"] = "-"
    assert all(event in timed for event in filter(is_timed, replay.events))


def test_discovery_says_of_what_is_served_what_was_recorded(api):
    known = recorded("discovery/version")["body"]
    body = ask(api, "/version")[2]
    assert body.keys() == known.keys()
    assert body["gitVersion"] == known["gitVersion"]
    assert ask(api, "/api")[2].keys() == recorded("discovery/api")["body"].keys()
    groups = {group["name"]: group for group in recorded("discovery/apis")["body"]["groups"]}
    body = ask(api, "/apis")[2]
    assert {"kind": body["kind"], "apiVersion": body["apiVersion"]} == {"kind": "APIGroupList", "apiVersion": "v1"}
    for group in body["groups"]:
        assert group["preferredVersion"] == groups[group["name"]]["preferredVersion"]
        assert all(version in groups[group["name"]]["versions"] for version in group["versions"])


@pytest.mark.parametrize("name", ["gateway", "v1"])
def test_discovery_names_the_kinds_as_recorded(api, name):
    known = recorded(f"discovery/{name}")
    resources = {entry["name"]: entry for entry in known["body"]["resources"]}
    body = ask(api, known["request"]["path"])[2]
    assert {name: body.get(name) for name in known["body"] if name != "resources"} == {
        name: value for name, value in known["body"].items() if name != "resources"
    }
    assert len(body["resources"]) >= 2
    for entry in body["resources"]:
        like = resources[entry["name"]]
        assert sorted(entry.pop("verbs")) == sorted(like["verbs"])
        assert entry == {key: like[key] for key in entry}
