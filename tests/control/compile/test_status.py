import msgspec
import pytest

from control.compile.status import CONTROLLER, MAX_MESSAGE_CHARS, status_of
from control.model.decode import decode
from control.model.objects import Key
from tests.control.build import http_route, index_of, parent, path, rule, service

THEN, NOW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
OTHERS = {
    "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"},
    "controllerName": "example.com/gateway",
    "conditions": [],
}


def status(*documents, former=None, now=NOW, name="a"):
    index = index_of(*documents)
    return status_of(index, index.routes[Key("shop", name)], former, now)


def written(route, generation):
    return {**route, "metadata": {**route["metadata"], "generation": generation}}


def test_every_parent_that_is_a_service_has_its_conditions():
    refs = [parent("a", port=80), parent("far", namespace="bank", sectionName="x"), {"name": "edge"}]
    route = written(http_route("a", rule("a"), parents=refs), 7)
    found = status(service("a"), route)["parents"]
    assert [entry["parentRef"] for entry in found] == [
        {"group": "", "kind": "Service", "name": "a", "port": 80},
        {"group": "", "kind": "Service", "name": "far", "namespace": "bank", "sectionName": "x"},
    ]
    assert {entry["controllerName"] for entry in found} == {CONTROLLER}
    same = {"observedGeneration": 7, "lastTransitionTime": NOW}
    assert found[0]["conditions"] == [
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", **same},
        {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs", "message": "", **same},
    ]
    missing = {"reason": "NoMatchingParent", "message": "Service bank/far does not exist"}
    assert found[1]["conditions"][0] == {"type": "Accepted", "status": "False", **missing, **same}


def test_a_status_is_one_that_a_route_may_have():
    route = http_route("a", rule("gone"), rule("a", matches=[path("(", "RegularExpression")]), parents=["a", "b"])
    route["status"] = msgspec.json.decode(msgspec.json.encode(status(service("a"), route)))
    assert decode(route).key == Key("shop", "a")


def test_what_stays_keeps_its_time_and_what_turns_gets_a_new_one():
    route = http_route("a", rule("b"))
    before = status(service("a"), service("b"), route, now=THEN)
    assert status(service("a"), service("b"), route, former=before) == before
    after = status(service("a"), written(route, 2), former=before)["parents"][0]["conditions"]
    assert [(item["type"], item["status"], item["lastTransitionTime"]) for item in after] == [
        ("Accepted", "True", THEN),
        ("ResolvedRefs", "False", NOW),
    ]
    assert {item["observedGeneration"] for item in after} == {2}


def test_a_condition_that_means_something_else_now_keeps_its_time_while_its_status_is_the_same():
    before = status(service("a"), http_route("a", rule("gone")), now=THEN)
    after = status(service("a"), http_route("a", rule("lost")), former=before)["parents"][0]["conditions"][1]
    assert ("lost" in after["message"], after["lastTransitionTime"]) == (True, THEN)


def test_other_controllers_parents_stay_and_ours_that_are_gone_go():
    before = status(service("a"), http_route("a", rule("a"), parents=["a", "b"]), now=THEN)
    former = {"parents": [OTHERS, *before["parents"]]}
    after = status(service("a"), http_route("a", rule("a")), former=former)
    assert after == {"parents": [OTHERS, before["parents"][0]]}
    gateway = http_route("a", rule("a"), parents=[{"name": "edge"}])
    assert status(gateway, former=former) == {"parents": [OTHERS]}
    assert status(gateway) == {"parents": []}


def test_no_more_parents_are_told_than_a_status_may_have():
    former = {"parents": [OTHERS] * 32}
    after = status(service("a"), http_route("a", rule("a"), parents=["a", "b"]), former=former)["parents"]
    assert (len(after), [entry["parentRef"]["name"] for entry in after[-2:]]) == (32, ["a", "b"])


@pytest.mark.parametrize("former", [None, {}, {"parents": None}, {"parents": ["x"]}, "x", []])
def test_a_former_status_of_another_shape_is_none(former):
    route = http_route("a", rule("a"))
    assert status(service("a"), route, former=former) == status(service("a"), route)


def test_a_long_message_is_cut_to_what_a_status_may_have():
    refs = [{"name": "n" * 240 + str(number), "port": 80} for number in range(16)]
    rules = [rule(*refs, matches=[path(f"/{number}")]) for number in range(10)]
    for number, item in enumerate(rules):
        item["backendRefs"] = [{**ref, "name": f"{number}-{ref['name']}"[:253]} for ref in refs]
    found = status(service("a"), http_route("a", *rules))["parents"][0]["conditions"][1]
    assert len(found["message"]) == MAX_MESSAGE_CHARS
