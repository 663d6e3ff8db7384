"""`meshctl route shift`."""

import json
import shlex

import pytest

from control.cli.canary import find_split
from control.cli.failure import Failure
from tests.control.build import http_route, rule, service
from tests.fakes.scripted import Reply, scripted


def backend(name, weight=None, **fields):
    return {"name": name, "port": 80, **({} if weight is None else {"weight": weight}), **fields}


@pytest.fixture
def route(meshctl, manifest, ns):
    """Apply a route with these rules."""

    def make(*rules):
        services = [service(name, namespace=ns) for name in ("echo", "echo-v1", "echo-v2", "echo-v3")]
        assert meshctl("apply", "-f", manifest(*services, http_route("echo", *rules, namespace=ns))).status == 0

    return make


@pytest.fixture
def weights(meshctl, ns):
    def read():
        route = json.loads(meshctl("get", "httproute", "echo", "-n", ns, "-o", "json").out)
        return [[ref.get("weight") for ref in rule.get("backendRefs", ())] for rule in route["spec"]["rules"]]

    return read


def test_a_step_is_made_and_the_way_back_leads_back(meshctl, ns, route, weights):
    route(rule(backend("echo-v1", 90), backend("echo-v2", 10), name="main", timeouts={"request": "2s"}))
    result = meshctl("route", "shift", "echo", "v2=20", "-n", ns)
    assert (result.status, result.err) == (0, "")
    assert result.rows[:4] == [
        ["httproute/echo", "rule", "0", "(main)"],
        ["BACKEND", "BEFORE", "NOW"],
        ["echo-v1", "90", "%", "80", "%"],
        ["echo-v2", "10", "%", "20", "%"],
    ]
    assert weights() == [[80, 20]]
    back = result.out.splitlines()[-1]
    assert back == f"way back: meshctl route shift echo echo-v1=90 echo-v2=10 -n {ns}"
    assert meshctl(*shlex.split(back)[3:]).status == 0
    assert weights() == [[90, 10]]
    shown = json.loads(meshctl("get", "httproute", "echo", "-n", ns, "-o", "json").out)
    assert shown["spec"]["rules"][0]["timeouts"] == {"request": "2s"}


def test_weights_that_are_no_percent_come_back_exactly_as_well(meshctl, ns, route, weights):
    route(rule(backend("echo-v1"), backend("echo-v2", 7), backend("echo-v3", 0)))
    result = meshctl("route", "shift", "echo", "v3=50", "-n", ns)
    assert weights() == [[6, 44, 50]]
    back = shlex.split(result.out.splitlines()[-1])[3:]
    assert back[-1] == "--weights"
    assert meshctl(*back).status == 0
    assert weights() == [[1, 7, 0]]


def test_a_rule_is_named_where_there_are_several(meshctl, ns, route, weights):
    two = [backend("echo-v1", 1), backend("echo-v2", 1)]
    route(rule(*two, name="a"), rule(*two), rule("echo-v1"))
    result = meshctl("route", "shift", "echo", "v2=20", "-n", ns)
    assert result.status == 1
    assert "several rules have several backends: rule 0 (a), rule 1; name one by --rule" in result.err
    assert meshctl("route", "shift", "echo", "v2=20", "-n", ns, "--rule", "1").status == 0
    assert meshctl("route", "shift", "echo", "v1=0", "-n", ns, "--rule", "a").out.splitlines()[-1].endswith(
        f"-n {ns} --rule a --weights"
    )  # fmt: skip
    assert weights() == [[0, 100], [80, 20], [None]]
    assert "no rule is called 'z'; allowed: rule 0 (a), rule 1, rule 2" in meshctl(
        "route", "shift", "echo", "v1=0", "-n", ns, "--rule", "z"
    ).err  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["v2"], "'v2' is malformed; allowed: BACKEND=NUMBER, as in v2=20"),
        (["v2=-1"], "is malformed"),
        (["v2=2.5"], "is malformed"),
        (["v2=101"], "101 is out of range; allowed: 0 to 100 percent"),
        (["v2=60", "v1=50"], "add up to 110"),
        (["v2=10", "echo-v2=20"], "one backend is named twice, by v2 and echo-v2"),
        (["v9=10"], "no backend is 'v9' or ends in '-v9'; allowed: echo-v1, echo-v2"),
    ],
)
def test_a_step_that_cannot_be_made_changes_nothing(meshctl, ns, route, weights, steps, message):
    route(rule(backend("echo-v1", 90), backend("echo-v2", 10)))
    result = meshctl("route", "shift", "echo", *steps, "-n", ns)
    assert (result.status, result.out) == (1, "")
    assert message in result.err
    assert weights() == [[90, 10]]


def test_a_route_without_a_choice_has_nothing_to_shift(meshctl, ns, route):
    route(rule("echo-v1"))
    assert "has no two backends" in meshctl("route", "shift", "echo", "v1=20", "-n", ns).err
    assert "not found" in meshctl("route", "shift", "none", "v1=20", "-n", ns).err
    for empty in ({}, {"spec": None}, {"spec": {"rules": None}}):
        with pytest.raises(Failure, match="has no two backends"):
            find_split(empty, "")


def changed_between(first, second):
    """A control plane where somebody else writes the route between our reading and our writing."""
    state = {"reads": 0, "written": None}

    def answer(asked):
        if asked.method == "GET":
            state["reads"] += 1
            weights = first if state["reads"] == 1 else second
            rules = [rule(*(backend(name, weight) for name, weight in weights))]
            document = http_route("echo", *rules)
            document["metadata"]["resourceVersion"] = str(state["reads"])
            return Reply(body=json.dumps(document).encode())
        patch = json.loads(asked.body)
        if patch["metadata"]["resourceVersion"] == "1":
            return Reply(409, b'{"message": "the object has been modified", "reason": "Conflict"}')
        state["written"] = patch
        return Reply(body=asked.body)

    return state, answer


def test_another_writer_who_leaves_the_weights_alone_is_no_hindrance(meshctl, monkeypatch):
    state, answer = changed_between([("v1", 90), ("v2", 10)], [("v1", 90), ("v2", 10)])
    with scripted(answer) as server:
        monkeypatch.setenv("MESHCTL_API", server.url)
        assert meshctl("route", "shift", "echo", "v2=20").status == 0
    assert [ref["weight"] for ref in state["written"]["spec"]["rules"][0]["backendRefs"]] == [80, 20]
    assert state["written"]["metadata"]["resourceVersion"] == "2"


def test_another_writer_who_changes_the_weights_is_told_and_nothing_is_written(meshctl, monkeypatch):
    state, answer = changed_between([("v1", 90), ("v2", 10)], [("v1", 50), ("v2", 50)])
    with scripted(answer) as server:
        monkeypatch.setenv("MESHCTL_API", server.url)
        result = meshctl("route", "shift", "echo", "v2=20")
    assert result.status == 1
    assert "its weights were changed meanwhile, to v1=50, v2=50; nothing was changed" in result.err
    assert state["written"] is None
