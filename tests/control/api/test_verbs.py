"""Kubernetes' verbs over real sockets and a real store."""

import io

import msgspec

from control.api.body import MAX_BYTES
from control.model.kinds import POD
from tests.control import build
from tests.fakes.api import GATEWAY, serve
from tests.fakes.loop import on_uvloop

SERVICES = "/api/v1/namespaces/shop/services"
ROUTES = f"{GATEWAY}/namespaces/shop/httproutes"
ROUTE = f"{ROUTES}/echo"
NOW = "2026-01-31T12:00:00Z"


def route(weight=90, **metadata):
    document = build.http_route("echo", build.rule({"name": "v1", "port": 80, "weight": weight}))
    document["metadata"].update(metadata)
    return document


@on_uvloop
async def test_an_object_lives_and_dies(tmp_path):
    async with serve(tmp_path) as api:
        code, made = await api.post(ROUTES, route())
        assert code == 201
        metadata = made["metadata"]
        assert (metadata["name"], metadata["namespace"], metadata["generation"]) == ("echo", "shop", 1)
        assert metadata["uid"]
        assert metadata["managedFields"][0]["manager"] == "tester"
        assert await api.get(ROUTE) == (200, made)
        code, replaced = await api.put(ROUTE, route(10, resourceVersion=metadata["resourceVersion"]))
        assert (code, replaced["metadata"]["generation"]) == (200, 2)
        code, patched = await api.merge(ROUTE, {"metadata": {"labels": {"a": "b"}}})
        assert (code, patched["metadata"]["labels"], patched["metadata"]["generation"]) == (200, {"a": "b"}, 2)
        code, gone = await api.delete(ROUTE)
        assert (code, gone["status"], gone["details"]["uid"]) == (200, "Success", metadata["uid"])
        assert (await api.get(ROUTE))[0] == 404


@on_uvloop
async def test_a_stale_version_is_a_conflict(tmp_path):
    async with serve(tmp_path) as api:
        _, made = await api.post(ROUTES, route())
        await api.put(ROUTE, route(10))
        stale = {"resourceVersion": made["metadata"]["resourceVersion"]}
        for code, answer in (
            await api.put(ROUTE, route(20, **stale)),
            await api.merge(ROUTE, {"metadata": stale}),
            await api.delete(ROUTE, {"preconditions": stale}),
            await api.delete(ROUTE, {"preconditions": {"uid": "other"}}),
            await api.put(
                f"{ROUTE}/status", {**route(), "metadata": {"name": "echo", **stale}, "status": {"parents": []}}
            ),
        ):
            assert (code, answer["reason"]) == (409, "Conflict")
            assert answer["details"] == {"name": "echo", "group": "gateway.networking.k8s.io", "kind": "httproutes"}
        assert (await api.get(ROUTE))[0] == 200


@on_uvloop
async def test_apply_creates_owns_and_is_refused_to_others(tmp_path):
    async with serve(tmp_path) as api:
        code, _ = await api.apply(f"{ROUTE}?fieldManager=a", route())
        assert code == 201
        code, same = await api.apply(f"{ROUTE}?fieldManager=a", route())
        assert (code, same["metadata"]["resourceVersion"]) == (200, "1")
        code, refused = await api.apply(f"{ROUTE}?fieldManager=b", route(1))
        assert (code, refused["reason"]) == (409, "Conflict")
        assert refused["details"]["causes"][0]["reason"] == "FieldManagerConflict"
        assert (await api.apply(f"{ROUTE}?fieldManager=b&force=true", route(1)))[0] == 200
        code, answer = await api.apply(ROUTE, route())
        assert (code, "fieldManager" in answer["message"]) == (400, True)


@on_uvloop
async def test_yaml_is_applied(tmp_path):
    text = b"apiVersion: v1\nkind: Service\nmetadata: {name: echo}\nspec:\n  ports: [{port: 80}]\n"
    async with serve(tmp_path) as api:
        code, made = await api.apply(f"{SERVICES}/echo?fieldManager=a", text)
        assert (code, made["spec"]["ports"][0]["port"]) == (201, 80)


@on_uvloop
async def test_a_dry_run_changes_nothing(tmp_path):
    async with serve(tmp_path) as api:
        assert (await api.post(f"{ROUTES}?dryRun=All", route()))[0] == 201
        assert (await api.apply(f"{ROUTE}?dryRun=All&fieldManager=a", route()))[0] == 201
        assert (await api.get(ROUTE))[0] == 404
        _, made = await api.post(ROUTES, route())
        assert (await api.put(f"{ROUTE}?dryRun=All", route(1)))[0] == 200
        assert (await api.delete(f"{ROUTE}?dryRun=All"))[0] == 200
        assert (await api.delete(ROUTE, {"dryRun": ["All"]}))[0] == 200
        assert await api.get(ROUTE) == (200, made)


@on_uvloop
async def test_a_status_is_written_apart_from_the_rest(tmp_path):
    condition = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": NOW}
    parents = [{"parentRef": {"name": "echo"}, "controllerName": "example.com/c", "conditions": [condition]}]
    async with serve(tmp_path) as api:
        code, made = await api.post(ROUTES, {**route(), "status": {"parents": parents}})
        assert (code, made.get("status")) == (201, None)
        whole = {**route(55), "status": {"parents": parents}}
        for code, answer in (
            await api.put(f"{ROUTE}/status", whole),
            await api.merge(f"{ROUTE}/status", {"spec": {}, "status": {"parents": parents}}),
            await api.apply(f"{ROUTE}/status?fieldManager=c", whole),
        ):
            assert code == 200
            assert answer["status"]["parents"] == parents
            assert answer["spec"] == made["spec"]
            assert answer["metadata"]["generation"] == 1
        _, replaced = await api.put(ROUTE, route(1))
        assert replaced["status"]["parents"] == parents
        assert (await api.get(f"{ROUTE}/status"))[1] == replaced
        assert (await api.put(f"{SERVICES}/echo/status", {}))[0] == 404  # Services have none


@on_uvloop
async def test_unknown_fields(tmp_path):
    bad = {**route(), "spec": {**route()["spec"], "timeout": "1s"}}
    async with serve(tmp_path) as api:
        for path in (ROUTES, f"{ROUTES}?fieldValidation=Strict"):
            code, answer = await api.post(path, bad)
            assert (code, answer["reason"]) == (400, "BadRequest")
            assert 'unknown field "spec.timeout"' in answer["message"]
        async with api.session.post(f"{api.url}{ROUTES}?fieldValidation=Warn", json=bad) as response:
            assert response.status == 201
            assert response.headers["Warning"] == '299 - "unknown field spec.timeout"'
            assert "timeout" not in (await response.json())["spec"]
        code, answer = await api.ask(
            "PATCH", f"{ROUTE}?fieldValidation=Ignore", {"spec": {"timeout": "1s", "hostnames": ["a.b"]}},
            headers={"Content-Type": "application/merge-patch+json"},
        )  # fmt: skip
        assert (code, answer["spec"]["hostnames"], "timeout" in answer["spec"]) == (200, ["a.b"], False)


@on_uvloop
async def test_what_is_invalid_is_told_field_by_field(tmp_path):
    async with serve(tmp_path) as api:
        bad = build.document("v1", "Service", "echo", spec={"ports": [{"name": "a", "port": 99999}, {"name": "b"}]})
        code, answer = await api.post(SERVICES, bad)
        assert (code, answer["reason"], answer["details"]["kind"]) == (422, "Invalid", "Service")
        causes = {cause["field"]: cause["reason"] for cause in answer["details"]["causes"]}
        assert causes == {"spec.ports[0].port": "FieldValueInvalid", "spec.ports[1].port": "FieldValueRequired"}


@on_uvloop
async def test_generated_names(tmp_path):
    async with serve(tmp_path) as api:
        document = build.service("echo")
        document["metadata"] = {"generateName": "echo-"}
        names = {(await api.post(SERVICES, document))[1]["metadata"]["name"] for _ in range(3)}
        assert len(names) == 3
        assert all(name.startswith("echo-") for name in names)
        document["metadata"] = {}
        code, answer = await api.post(SERVICES, document)
        assert (code, answer["details"]["causes"][0]["field"]) == (422, "metadata.name")


@on_uvloop
async def test_both_versions_show_the_same_objects(tmp_path):
    old = "/apis/gateway.networking.k8s.io/v1beta1/namespaces/shop/httproutes"
    async with serve(tmp_path) as api:
        _, made = await api.post(old, {**route(), "apiVersion": "gateway.networking.k8s.io/v1beta1"})
        assert made["apiVersion"] == "gateway.networking.k8s.io/v1beta1"
        _, newer = await api.get(ROUTE)
        assert newer == {**made, "apiVersion": "gateway.networking.k8s.io/v1"}
        _, listed = await api.get(old)
        assert listed["items"] == [made]


@on_uvloop
async def test_several_are_deleted_at_once(tmp_path):
    async with serve(tmp_path) as api:
        for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
            await api.post(SERVICES, {**build.service(name), "metadata": {"name": name, "labels": {"l": label}}})
        code, _ = await api.delete(f"{SERVICES}?labelSelector=l%3Dx")
        assert code == 200
        _, left = await api.get(SERVICES)
        assert [item["metadata"]["name"] for item in left["items"]] == ["c"]


@on_uvloop
async def test_bodies_of_other_kinds_are_refused(tmp_path):
    async with serve(tmp_path) as api:
        await api.post(ROUTES, route())
        for method, path, media in (
            ("PATCH", ROUTE, "application/json-patch+json"),
            ("PATCH", ROUTE, "application/strategic-merge-patch+json"),
            ("POST", ROUTES, "application/yaml"),
        ):
            code, answer = await api.ask(method, path, route(), headers={"Content-Type": media})
            assert (code, answer["reason"]) == (415, "UnsupportedMediaType")
            assert "application/" in answer["message"]
        code, answer = await api.ask("POST", ROUTES, b"{}", headers={"Content-Encoding": "gzip"})
        assert code == 415
        for path, document in (
            (f"{GATEWAY}/namespaces/other/httproutes", route()),
            (f"{GATEWAY}/namespaces/other/httproutes", {**route(namespace=""), "kind": "GRPCRoute"}),
            (SERVICES, route()),
            (ROUTES, {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}),
        ):
            assert (await api.post(path, document))[0] in {400, 422}
        code, _ = await api.put(ROUTE.replace("echo", "other"), route())
        assert code in {400, 404}


@on_uvloop
async def test_bodies_are_bounded(tmp_path):
    async with serve(tmp_path) as api:
        big = b'{"a": "' + b"x" * MAX_BYTES + b'"}'

        async def chunks():
            for i in range(0, len(big), 65536):
                yield big[i : i + 65536]

        code, answer = await api.ask("POST", ROUTES, data=io.BytesIO(big), headers={"Content-Type": "application/json"})
        assert (code, answer["reason"]) == (413, "RequestEntityTooLarge")
        async with api.session.post(
            f"{api.url}{ROUTES}", data=chunks(), headers={"Content-Type": "application/json"}
        ) as response:
            assert response.status == 413


@on_uvloop
async def test_a_write_is_on_the_disk_when_it_is_answered(tmp_path):
    async with serve(tmp_path) as api:
        _, made = await api.post(ROUTES, route())
    async with serve(tmp_path) as api:
        assert await api.get(ROUTE) == (200, made)


@on_uvloop
async def test_a_big_object_is_read_beside_the_loop(tmp_path):
    async with serve(tmp_path) as api:
        document = build.pod("big")
        document["metadata"]["annotations"] = {"a": "x" * 200_000}
        code, made = await api.post("/api/v1/namespaces/shop/pods", document)
        assert (code, len(made["metadata"]["annotations"]["a"])) == (201, 200_000)
        (stored,) = api.store.list(POD)
        assert msgspec.json.decode(stored.body) == made


@on_uvloop
async def test_a_collection_is_deleted_in_few_commits_and_what_is_not_selected_stays(tmp_path):
    async with serve(tmp_path) as api:
        for i in range(100):
            assert (await api.post(SERVICES, build.service(f"s{i}")))[0] == 201
        stays = build.service("stays")
        stays["metadata"]["labels"] = {"keep": "yes"}
        await api.post(SERVICES, stays)
        commits = []
        api.store.listen(commits.append)
        assert (await api.delete(f"{SERVICES}?labelSelector=!keep&dryRun=All"))[0] == 200
        assert not commits
        assert (await api.delete(f"{SERVICES}?labelSelector=!keep"))[0] == 200
        assert [item["metadata"]["name"] for item in (await api.get(SERVICES))[1]["items"]] == ["stays"]
        # Each commit waits for the disk.
        assert sum(map(len, commits)) == 100
        assert len(commits) < 20
        stale = {"preconditions": {"resourceVersion": "1"}}
        assert (await api.delete(SERVICES, stale))[0] == 409
        assert len((await api.get(SERVICES))[1]["items"]) == 1
