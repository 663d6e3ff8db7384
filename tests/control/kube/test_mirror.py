import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.index.change import Change
from control.kube import mirror as module
from control.kube.mirror import Mirror
from control.model.decode import decode
from control.model.kinds import HTTP_ROUTE, NODE, POD, SERVICE
from control.model.objects import Key, Node, NodeMetadata, Pod, Service
from control.store.records import Gone
from tests.control.build import http_route, pod, rule, service
from tests.control.kube.said import BY_NAME
from tests.control.objects import documents

WEB = decode(service("web"))
OTHER = decode(service("web", 81))


def test_an_object_is_new_then_different_then_gone():
    mirror = Mirror()
    assert mirror.put(SERVICE, WEB.key, 5, WEB) == Change(Service, WEB.key, WEB)
    assert mirror.put(SERVICE, WEB.key, 6, OTHER) == Change(Service, WEB.key, OTHER)
    assert mirror.remove(SERVICE, WEB.key, 9) == Change(Service, WEB.key, None)
    assert mirror.remove(SERVICE, WEB.key, 9) is None
    assert [(event.type, event.version) for event in mirror.events_since(0, SERVICE)] == [
        ("ADDED", 5), ("MODIFIED", 6), ("DELETED", 9),
    ]  # fmt: skip
    added, modified, deleted = mirror.events_since(0, SERVICE)
    assert added.former == b""
    assert modified.former == added.body
    assert json.loads(deleted.body)["metadata"]["resourceVersion"] == "9"
    assert len(mirror) == mirror.count(SERVICE) == 0


def test_equal_content_is_no_change_and_the_old_object_stays():
    mirror = Mirror()
    mirror.put(SERVICE, WEB.key, 5, WEB)
    told = []
    mirror.listen(told.extend)
    assert mirror.put(SERVICE, Key("shop", "web"), 8, decode(service("web"))) is None
    mirror.tell()
    seen = mirror.get(SERVICE, WEB.key)
    assert told == []
    assert seen.item is WEB
    assert (seen.version, mirror.version) == (8, 8)
    assert json.loads(seen.body)["metadata"]["resourceVersion"] == "8"


@settings(deadline=None, max_examples=60)
@given(documents, st.integers(0, 10**9))
def test_a_body_is_the_object_that_was_taken(made, version):
    mirror = Mirror()
    item = decode(made)
    mirror.put(BY_NAME[made["kind"]].kind, item.key, version, item)
    (seen,) = mirror.list(BY_NAME[made["kind"]].kind)
    body = json.loads(seen.body)
    assert body["metadata"]["resourceVersion"] == str(version)
    assert (body["apiVersion"].rpartition("/")[0], body["kind"]) == (
        made["apiVersion"].rpartition("/")[0],
        made["kind"],
    )
    assert decode({**made, **body}) == item


def test_a_body_has_no_fields_that_say_nothing():
    mirror = Mirror()
    item = decode(http_route("web", rule("web", timeouts={"request": "2s"})))
    mirror.put(HTTP_ROUTE, item.key, 3, item)
    body = json.loads(mirror.get(HTTP_ROUTE, item.key).body)
    (shown,) = body["spec"]["rules"]
    assert shown["timeouts"] == {"request": "2s"}
    assert {"hostnames", "filters", "retry", "labels"}.isdisjoint([*body["spec"], *shown, *body["metadata"]])
    assert body["apiVersion"] == "gateway.networking.k8s.io/v1"


def test_objects_of_no_namespace_are_listed():
    mirror = Mirror()
    node = Node(metadata=NodeMetadata(name="n1"))
    mirror.put(NODE, node.key, 3, node)
    assert [seen.key for seen in mirror.list(NODE)] == [Key("", "n1")]
    assert json.loads(mirror.list(NODE)[0].body)["metadata"] == {"name": "n1", "resourceVersion": "3"}


def test_lists_are_in_order_and_of_one_namespace_if_it_is_named():
    mirror = Mirror()
    names = [("shop", "b"), ("bank", "z"), ("shop-2", "a"), ("shop", "a")]
    for namespace, name in names:
        mirror.put(SERVICE, Key(namespace, name), 1, decode(service(name, namespace=namespace)))
    assert [seen.key for seen in mirror.list(SERVICE)] == sorted(Key(*name) for name in names)
    mirror.put(SERVICE, Key("shop", "aa"), 2, decode(service("aa")))
    mirror.remove(SERVICE, Key("shop", "b"))
    assert [seen.key.name for seen in mirror.list(SERVICE, "shop")] == ["a", "aa"]


def test_events_have_rising_versions_though_kinds_come_one_behind_the_other():
    mirror = Mirror()
    mirror.put(SERVICE, WEB.key, 1000, WEB)
    late = decode(pod("late"))
    mirror.put(POD, late.key, 950, late)
    (event,) = mirror.events_since(1000, POD)
    assert event.version == 1001
    assert json.loads(event.body)["metadata"]["resourceVersion"] == "950"
    # Whoever goes on from the object's own version is told of it once more, and of nothing too little.
    assert list(mirror.events_since(950, POD)) == [event]
    mirror.put(SERVICE, WEB.key, 1001, OTHER)
    assert [event.version for event in mirror.events_since(1000, SERVICE)] == [1002]
    mirror.advance(2000)
    mirror.advance(1500)
    assert mirror.version == 2000


def test_a_version_that_is_lower_than_before_is_shown_and_still_later():
    mirror = Mirror()
    mirror.put(SERVICE, WEB.key, 1000, WEB)
    mirror.put(SERVICE, WEB.key, 3, OTHER)
    assert mirror.get(SERVICE, WEB.key).version == 3
    assert [event.version for event in mirror.events_since(1000, SERVICE)] == [1001]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["shop", "bank"]), st.integers(0, 3)), max_size=30), st.integers(1, 6))
def test_what_happened_after_a_version_is_all_told_or_known_to_be_gone(rows, kept):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_EVENTS", kept)
        mirror, told, versions = Mirror(), [], [0]
        mirror.listen(told.extend)
        for namespace, port in rows:
            item = decode(service("web", 80 + port, namespace=namespace))
            mirror.put(SERVICE, item.key, 0, item) if port else mirror.remove(SERVICE, item.key)
            mirror.tell()
            versions.append(mirror.version)
        oldest = told[-kept - 1].version if len(told) > kept else 0
        for version in versions:
            if version < oldest:
                with pytest.raises(Gone, match=f"too old resource version: {version} \\({oldest}\\)"):
                    mirror.events_since(version, SERVICE)
                continue
            later = [event for event in told if event.version > version]
            assert list(mirror.events_since(version, SERVICE)) == later
            assert list(mirror.events_since(version, SERVICE, "shop")) == [
                event for event in later if event.key.namespace == "shop"
            ]
        assert mirror.events_since(0, POD) == []


def test_listeners_are_told_in_order_and_none_is_kept_by_another_that_fails(caplog):
    mirror, told = Mirror(), []

    def fail(_):
        raise ValueError("a defect")

    mirror.listen(fail)
    stop = mirror.listen(told.extend)
    mirror.put(SERVICE, WEB.key, 5, WEB)
    mirror.put(SERVICE, WEB.key, 6, OTHER)
    assert told == []
    mirror.tell()
    mirror.tell()
    assert [event.version for event in told] == [5, 6]
    assert "a listener of the cluster's objects failed" in caplog.text
    stop()
    stop()
    mirror.remove(SERVICE, WEB.key)
    mirror.tell()
    assert len(told) == 2


def test_the_key_that_was_there_first_is_kept():
    mirror = Mirror()
    item = decode(pod("x"))
    first = item.key
    mirror.put(POD, first, 1, item)
    changed = decode(pod("x", "buyer"))
    change = mirror.put(POD, changed.key, 2, changed)
    assert change.key is first
    assert change.type is Pod
    assert mirror.get(POD, Key("shop", "x")).key is first
