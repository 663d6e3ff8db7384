"""What is known of a cluster without asking: how kinds are followed, what is not understood, what is withheld."""

import asyncio

import pytest

from control.index.index import Index
from control.kube import findings
from control.kube.findings import kind, objects, withheld
from control.kube.source import KindState, Refused
from control.model.decode import decode
from control.model.objects import Key
from meshproxy.kit.aio.slices import in_slices
from tests.control.build import endpoint_slice, pod, service


def state(**fields):
    told = {
        "kind": "Pod", "api_version": "v1", "phase": "watching", "is_listed": True, "objects": 3, "heard_age_s": 1.0,
        "failure": "", "refused": 0, "ignored": 0, "lists": 1, "restarts": 0,
    }  # fmt: skip
    return KindState(**told | fields)


@pytest.mark.parametrize(
    ("fields", "found", "text"),
    [
        ({}, "ok", "3 objects of v1, heard 1s ago"),
        ({"heard_age_s": 200.0}, "fail", "not followed"),
        (
            {"phase": "lost", "heard_age_s": 70.0, "failure": "refused"},
            "warn",
            "at present: refused; what is known stays in effect: 3 objects",
        ),
        ({"phase": "lost", "heard_age_s": 300.0, "failure": "refused"}, "fail", "heard 5m ago"),
        ({"phase": "listing"}, "ok", "listed anew"),
        ({"phase": "listing", "heard_age_s": 300.0}, "fail", "not followed"),
        ({"phase": "listing", "is_listed": False}, "warn", "not listed yet"),
        ({"phase": "listing", "is_listed": False, "failure": "403"}, "fail", "not listed yet, and no sidecar"),
        ({"phase": "absent", "objects": 0}, "ok", "not installed"),
    ],
)
def test_how_a_kind_is_followed(fields, found, text):
    check = kind(state(**fields))
    assert (check.section, check.name, check.state) == ("Objects", "Pod", found)
    assert text in check.message
    assert bool(check.hint) == (found != "ok")


def test_objects_that_are_all_understood_are_one_check():
    (check,) = objects([], [], [state()])
    assert (check.name, check.state) == ("understood", "ok")


def test_of_objects_that_were_not_read_it_is_not_said_that_they_are_understood():
    assert objects([], [], [state(), state(is_listed=False)]) == []


def test_objects_that_are_not_understood_fail_and_fields_that_are_ignored_warn_each_with_the_reason(monkeypatch):
    monkeypatch.setattr(findings, "MAX_TOLD", 2)
    refused = [Refused("Service", Key("shop", name), "spec.ports: is required") for name in "ab"]
    ignored = [Refused("HTTPRoute", Key("shop", "r"), "spec.colour")]
    found = objects(refused, ignored, [state(refused=5), state(refused=1, ignored=1)])
    assert [(check.name, check.state) for check in found] == [
        ("Service shop/a", "fail"),
        ("Service shop/b", "fail"),
        ("and more", "fail"),
        ("HTTPRoute shop/r", "warn"),
    ]
    assert "counts as absent: spec.ports: is required" in found[0].message
    assert found[2].message == "4 objects"
    assert "spec.colour" in found[3].message


def of_pod(address, name, uid):
    return {"addresses": [address], "targetRef": {"kind": "Pod", "name": name, "uid": uid}}


def index_of(*documents):
    index = Index()
    for document in documents:
        index.apply(decode(document))
    return index


def told(index):
    return asyncio.run(in_slices(withheld(index)))


def test_endpoints_are_withheld_until_their_pods_are_known():
    endpoints = [of_pod(f"10.0.0.{i}", f"echo-{i}", f"u{i}") for i in range(1, 6)]
    index = index_of(service("echo"), endpoint_slice("echo", *endpoints))
    (check,) = told(index)
    assert (check.section, check.name, check.state) == ("Configuration", "Service shop/echo", "warn")
    assert check.message.startswith("5 endpoints are withheld")
    assert check.message.endswith("and 2 more")
    assert check.message.count("Pod shop/echo-") == 3
    assert "kubectl get pods -n shop" in check.hint
    for i in range(1, 6):
        known = pod(f"echo-{i}")
        known["metadata"]["uid"] = f"u{i}"
        index.apply(decode(known))
    (check,) = told(index)
    assert (check.name, check.state) == ("endpoints", "ok")


def test_of_many_services_some_are_told_and_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(findings, "MAX_TOLD", 2)
    index = index_of(*(endpoint_slice(name, of_pod("10.0.0.1", name, "u")) for name in "abcde"))
    found = told(index)
    assert [check.name for check in found] == ["Service shop/a", "Service shop/b", "and more"]
    assert found[-1].message == "3 Services"


def test_objects_may_change_while_it_is_looked_through():
    index = index_of(*(endpoint_slice(name, of_pod("10.0.0.1", name, "u")) for name in "abc"))
    steps = withheld(index)
    next(steps)
    for key in list(index.slices):
        index.delete(type(index.slices[key]), key)
    assert len(asyncio.run(in_slices(steps))) == 3
