"""What is told of a cluster: of one that is well, of one that allows little, and of one that does not answer."""

import asyncio
import json
from time import monotonic
from types import SimpleNamespace

import pytest

from control.index.index import Index
from control.kube import checks as kube_checks
from control.kube import questions
from control.kube.checks import INSTALL, checks
from control.kube.client import Client
from control.kube.connection import Connection, load
from control.kube.credentials import Fixed
from control.kube.failure import KubeError
from control.kube.permissions import GRANT
from control.kube.rights import REVIEWS, RULES
from control.kube.source import KindState
from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.loop import on_uvloop

GATEWAY = "gateway.networking.k8s.io"
NOBODY = SimpleNamespace(kinds=[], refused=[], ignored=[])
CONNECTION = Connection("https://10.0.0.1:6443", "kubeconfig ~/.kube/config, context mesh", None, Fixed(()))
LOST = KindState(
    kind="Pod", api_version="v1", phase="lost", is_listed=True, objects=3, heard_age_s=4000.0, failure="refused",
    refused=0, ignored=0, lists=1, restarts=0,
)  # fmt: skip
REVIEWED = [(rule, verb) for rule in RULES for verb in rule.verbs]


class Scripted:
    """An API server that says what `answers` says by path (an exception is raised), and allows what is not `denied`.

    `most` is how many questions were under way at once.
    """

    def __init__(self, denied=(), **answers):
        served = {"kind": "APIResourceList", "resources": [{"name": "httproutes"}, {"name": "referencegrants"}]}
        groups = [{"name": "discovery.k8s.io", "versions": [{"version": "v1"}]},
                  {"name": GATEWAY, "versions": [{"version": "v1"}, {"version": "v1beta1"}]}]  # fmt: skip
        self.answers = {
            "/version": {"gitVersion": "v1.36.2"},
            "/apis": {"kind": "APIGroupList", "groups": groups},
            f"/apis/{GATEWAY}/v1": served,
            f"/apis/{GATEWAY}/v1beta1": served,
            **answers,
        }
        self.denied = denied
        self.reviews = []
        self.under_way = self.most = 0

    async def get(self, path, *, timeout_s):
        return await self._answer(self.answers[path])

    async def post(self, path, body, *, timeout_s):
        assert path == REVIEWS
        asked = json.loads(body)["spec"]
        self.reviews.append(asked)
        if isinstance(answer := self.answers.get(REVIEWS), (Exception, bytes, float)):
            return await self._answer(answer)
        ((_, right),) = asked.items()
        name = right.get("resource") or right["path"]
        is_allowed = (right["verb"], name) not in self.denied
        return await self._answer({"status": {"allowed": is_allowed, "reason": "" if is_allowed else "RBAC says no"}})

    async def _answer(self, answer):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(answer if isinstance(answer, float) else 0)
        finally:
            self.under_way -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


async def look(client, source=NOBODY, index=None):
    return await checks(client, CONNECTION, source, index or Index())


def by_section(found):
    """The checks by section and name; each stands once."""
    result = {(check.section, check.name): check for check in found}
    assert len(result) == len(found)
    return result


@on_uvloop
async def test_an_api_server_that_is_well_over_a_real_connection(tmp_path):
    with FakeApi(tls=tmp_path, token="t0ken") as api:
        connection = load(api.kubeconfig(tmp_path / "config"), "")
        client = Client(connection)
        found = await checks(client, connection, NOBODY, Index())
        await client.close()
        assert {check.state for check in found} == {"ok"}
        told = by_section(found)
        assert connection.url in told["Kubernetes API server", "answers"].message
        assert told["Kubernetes API server", "credentials"].message == connection.described
        assert told["Rights", "pods"].message == "list, watch"
        assert told["Gateway API", "HTTPRoute"].message == "served in v1"
        asked = [request for request in api.asked if request.path == REVIEWS]
        assert len(asked) == len(REVIEWED)


@on_uvloop
async def test_each_right_is_asked_for_once_and_never_many_at_once():
    server = Scripted()
    found = await look(server)
    assert {check.state for check in found} == {"ok"}
    assert len(server.reviews) == len(REVIEWED)
    assert {json.dumps(asked) for asked in server.reviews} == {
        json.dumps(kube_checks.permissions.review(rule, verb)["spec"]) for rule, verb in REVIEWED
    }
    assert server.most <= questions.AT_ONCE


@on_uvloop
async def test_each_right_that_is_missing_fails_and_says_how_it_is_granted():
    denied = {("watch", "pods"), ("list", "nodes"), ("watch", "nodes"), ("get", "/apis")}
    told = by_section(await look(Scripted(denied)))
    assert {name for (_, name), check in told.items() if check.state == "fail"} == {"pods", "nodes", "discovery"}
    assert told["Rights", "pods"].message == "may not watch: RBAC says no"
    assert told["Rights", "nodes"].message == "may not list, watch: RBAC says no"
    assert told["Rights", "discovery"].message == "may not get /apis: RBAC says no"
    assert told["Rights", "pods"].hint == GRANT


@on_uvloop
async def test_who_may_not_even_ask_is_told_that_and_nothing_that_is_not_known():
    told = by_section(await look(Scripted(**{REVIEWS: KubeError("forbidden: User", 403, "Forbidden")})))
    states = {name: check.state for (section, name), check in told.items() if section == "Rights"}
    assert states.pop("selfsubjectaccessreviews") == "fail"
    assert set(states.values()) == {"warn"}
    assert "not known whether we may list, watch: forbidden" in told["Rights", "pods"].message


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"status": {"allowed": "yes"}}', b"\xff", b"[]"])
@on_uvloop
async def test_an_answer_that_is_not_understood_is_no_right_and_no_denial(answer):
    told = by_section(await look(Scripted(**{REVIEWS: answer})))
    assert {check.state for (section, _), check in told.items() if section == "Rights"} == {"warn"}


@on_uvloop
async def test_kinds_that_are_not_installed_are_a_warning_with_what_installs_them():
    nothing = {"kind": "APIGroupList", "groups": [{"name": "discovery.k8s.io", "versions": []}]}
    told = by_section(await look(Scripted(**{"/apis": nothing})))
    for name in ("HTTPRoute", "ReferenceGrant"):
        check = told["Gateway API", name]
        assert (check.state, check.hint) == ("warn", INSTALL)
        assert check.message.startswith("not served in v1 or v1beta1")
    only = {"kind": "APIResourceList", "resources": [{"name": "referencegrants"}]}
    told = by_section(await look(Scripted(**{f"/apis/{GATEWAY}/v1": only})))
    assert told["Gateway API", "HTTPRoute"].message == "served in v1beta1"
    assert told["Gateway API", "ReferenceGrant"].message == "served in v1"
    told = by_section(await look(Scripted(**{"/apis": KubeError("broken", 500)})))
    assert told["Gateway API", "HTTPRoute"].message == "not known whether it is served: broken"


@pytest.mark.parametrize(
    ("error", "name"),
    [(KubeError("Connection refused"), "answers"), (KubeError("Unauthorized", 401, "Unauthorized"), "credentials")],
)
@on_uvloop
async def test_without_an_answer_all_that_is_known_without_it_is_told(error, name):
    source = SimpleNamespace(kinds=[LOST], refused=[], ignored=[])
    server = Scripted(**{"/version": error})
    told = by_section(await look(server, source))
    assert server.reviews == []
    check = told["Kubernetes API server", name]
    assert (check.state, bool(check.hint)) == ("fail", True)
    assert str(error) in check.message
    assert CONNECTION.described in check.message + check.hint
    assert told["Rights", "not asked"].state == told["Gateway API", "not asked"].state == "warn"
    assert told["Objects", "Pod"].state == "fail"
    assert ("Configuration", "endpoints") in told


@on_uvloop
async def test_a_version_that_may_not_be_read_keeps_nothing_else_from_being_told():
    told = by_section(await look(Scripted(**{"/version": KubeError("forbidden", 403, "Forbidden")})))
    assert "its version is not told (forbidden)" in told["Kubernetes API server", "answers"].message
    assert told["Rights", "pods"].state == "ok"


@pytest.mark.parametrize("path", ["/version", "/apis", REVIEWS])
@on_uvloop
async def test_an_api_server_that_is_silent_does_not_hold_up_the_checks(path, monkeypatch):
    monkeypatch.setattr(kube_checks, "LIMIT_S", 0.2)
    monkeypatch.setattr(questions, "EACH_S", 0.1)
    began = monotonic()
    server = Scripted(**{path: 60.0})
    found = await look(server)
    assert monotonic() - began < 5
    assert server.under_way == 0
    assert any("there was no answer in time" in check.message for check in found)
