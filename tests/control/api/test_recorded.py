"""Errors and discovery have the shapes that a real API server has shown."""

import json
from pathlib import Path

import pytest

from tests.control import build
from tests.fakes.api import serve
from tests.fakes.loop import on_uvloop

RECORDINGS = Path(__file__).parents[4] / "shared" / "kubernetes" / "recordings"
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not beside the checkout")


def recorded(name):
    return json.loads((RECORDINGS / f"{name}.json").read_text())


async def replayed(api, name):
    """Send a recorded request; return our answer beside the one that was recorded."""
    recording = recorded(name)
    request = recording["request"]
    headers = {"Content-Type": "application/json"}
    if request["method"] == "PATCH":
        headers["Content-Type"] = "application/merge-patch+json" if "merge" in name else "application/apply-patch+yaml"
    body = request.get("body")
    data = {"data": json.dumps(body).encode(), "headers": headers} if body is not None else {}
    return (*await api.ask(request["method"], request["path"], **data), recording)


def places(listed):
    return [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed["items"]]


@pytest.mark.parametrize(
    "name",
    ["already-exists", "conflict", "crd-invalid", "invalid", "not-found", "unknown-field-strict", "unknown-kind"],
)
@on_uvloop
async def test_errors(tmp_path, name):
    async with serve(tmp_path) as api:
        await api.post("/api/v1/namespaces/shop/services", build.service("front"))
        if name == "conflict":
            # The recorded version is 1, which the Service has taken.
            path = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes"
            code, _ = await api.post(path, build.http_route("payment-canary", build.rule("payment")))
            assert code == 201
            body = recorded("errors/conflict")["request"]["body"]
            body["metadata"]["uid"] = (await api.get(f"{path}/payment-canary"))[1]["metadata"]["uid"]
            code, answer = await api.put(f"{path}/payment-canary", body)
            recording = recorded("errors/conflict")
        else:
            code, answer, recording = await replayed(api, f"errors/{name}")
    assert code == recording["status"]
    theirs = recording["body"]
    if isinstance(theirs, str):
        assert answer == theirs
        return
    assert {key: answer.get(key) for key in ("kind", "apiVersion", "metadata", "status", "reason", "code")} == {
        key: theirs[key] for key in ("kind", "apiVersion", "metadata", "status", "reason", "code")
    }
    assert ("details" in answer) == ("details" in theirs)
    mine, details = answer.get("details", {}), theirs.get("details", {})
    assert set(mine) == set(details)
    assert {key: mine[key] for key in mine if key != "causes"} == {
        key: details[key] for key in details if key != "causes"
    }
    if "causes" in details:
        first, theirs_first = mine["causes"][0], details["causes"][0]
        assert (first["field"], first["reason"]) == (theirs_first["field"], theirs_first["reason"])
    if name in {"already-exists", "not-found", "conflict", "unknown-field-strict"}:
        assert answer["message"] == theirs["message"]


@on_uvloop
async def test_without_a_token(tmp_path):
    recording = recorded("errors/unauthorized")
    async with serve(tmp_path) as api:
        code, answer = await api.get("/api/v1/pods", Authorization="Bearer wrong")
    assert (code, answer) == (recording["status"], recording["body"])


@on_uvloop
async def test_a_version_that_is_gone(tmp_path):
    recording = recorded("errors/gone-410-old-version")
    async with serve(tmp_path) as api:
        for i in range(3):
            await api.post("/api/v1/namespaces/shop/services", build.service(f"s{i}"))
    async with serve(tmp_path) as api, api.session.get(api.url + recording["request"]["path"]) as response:
        assert response.status == recording["status"]
        mine, theirs = json.loads(await response.read()), json.loads(recording["first_bytes"])
    assert mine["object"].pop("message") == "too old resource version: 1 (3)"
    theirs["object"].pop("message")
    assert mine == theirs


@on_uvloop
async def test_another_managers_object(tmp_path):
    async with serve(tmp_path) as api:
        path = "/api/v1/namespaces/shop/services"
        await api.post(f"{path}?fieldManager=kubectl-client-side-apply", build.service("front"))
        code, answer, recording = await replayed(api, "apply/conflict")
    theirs = recording["body"]
    assert (code, answer["reason"], set(answer["details"])) == (409, theirs["reason"], set(theirs["details"]))
    mine, cause = answer["details"]["causes"][0], theirs["details"]["causes"][0]
    assert (mine["reason"], mine["message"]) == (cause["reason"], cause["message"])


@on_uvloop
async def test_a_status_is_applied_as_recorded(tmp_path):
    path = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes"
    async with serve(tmp_path) as api:
        await api.post(path, build.http_route("payment-canary", build.rule("payment")))
        code, answer, recording = await replayed(api, "apply/status-apply")
        assert (code, answer["status"]) == (200, recording["body"]["status"])
        code, answer, _ = await replayed(api, "apply/merge-patch-status")
        assert (code, answer["metadata"]["annotations"]["a"]) == (200, "b")


@pytest.mark.parametrize("name", ["services", "endpointslices", "pods-shop", "httproutes"])
@on_uvloop
async def test_lists_of_a_real_cluster_can_be_created_and_read_again(tmp_path, name):
    recording = recorded(f"lists/{name}")
    listed = recording["body"]
    kind = listed["kind"].removesuffix("List")
    async with serve(tmp_path) as api:
        root = recording["request"]["path"].partition("?")[0]
        base = root.partition("/namespaces")[0] if "/namespaces/" in root else root.rpartition("/")[0]
        plural = root.rpartition("/")[2]
        for item in listed["items"]:
            document = {**item, "apiVersion": listed["apiVersion"], "kind": kind}
            document["metadata"] = {key: value for key, value in item["metadata"].items() if key != "resourceVersion"}
            code, made = await api.post(f"{base}/namespaces/{item['metadata']['namespace']}/{plural}", document)
            assert code == 201, made
            assert made.get("spec") == document.get("spec")
        code, mine = await api.get(root)
        assert code == 200
        assert set(mine["metadata"]) <= set(listed["metadata"]) | {"resourceVersion"}
        assert places(mine) == sorted(places(listed))


@on_uvloop
async def test_discovery(tmp_path):
    async with serve(tmp_path) as api:
        for name, path in (
            ("api", "/api"),
            ("apis", "/apis"),
            ("v1", "/api/v1"),
            ("gateway", "/apis/gateway.networking.k8s.io/v1"),
        ):
            code, mine = await api.get(path)
            theirs = recorded(f"discovery/{name}")["body"]
            assert code == 200
            assert set(mine) - {"apiVersion"} == set(theirs) - {"apiVersion"}
            for key in ("groups", "resources"):
                known = {item["name"]: item for item in theirs.get(key, ())}
                for item in mine.get(key, ()):
                    if item["name"] not in known or "meshproxy" in item["name"]:
                        continue
                    real = known[item["name"]]
                    for field in set(item) - {"verbs", "versions", "preferredVersion", "shortNames"}:
                        assert item[field] == real[field], item["name"]
                    assert set(item.get("verbs", ())) <= set(real.get("verbs", ()))
                    assert set(item.get("shortNames", ())) <= set(real.get("shortNames", ()))
        code, mine = await api.get("/version")
        assert set(mine) <= set(recorded("discovery/version")["body"])
