"""Connected sidecars, and explain."""

import pytest

from tests.fakes.api import Connected, Row, serve
from tests.fakes.loop import on_uvloop

MESH = "/apis/meshproxy.io/v1alpha1"
PROXY = f"{MESH}/namespaces/shop/proxies/front-1"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def connected():
    problem = {"name": "routes/shop/echo:80", "path": "rules", "message": "bad"}
    return Connected(Row("shop", "front-1"), Row("bank", "pay-1", synced=False, staleForS=7.0, lastNack=[problem]))


@on_uvloop
async def test_sidecars_are_listed(tmp_path):
    async with serve(tmp_path, connected()) as api:
        _, every = await api.get(f"{MESH}/proxies")
        assert every["kind"] == "ProxyList"
        places = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in every["items"]]
        assert places == [("bank", "pay-1"), ("shop", "front-1")]
        _, one = await api.get(f"{MESH}/namespaces/shop/proxies")
        assert [item["metadata"]["name"] for item in one["items"]] == ["front-1"]
        _, found = await api.get(PROXY)
        assert found == one["items"][0]
        assert (found["kind"], found["apiVersion"]) == ("Proxy", "meshproxy.io/v1alpha1")
        assert found["status"]["synced"] is True
        assert "name" not in found["status"]


@on_uvloop
async def test_sidecars_as_a_table(tmp_path):
    async with serve(tmp_path, connected()) as api:
        _, table = await api.get(f"{MESH}/proxies", Accept=TABLE)
        names = [column["name"] for column in table["columnDefinitions"]]
        rows = [dict(zip(names, row["cells"], strict=True)) for row in table["rows"]]
        assert [(row["Name"], row["State"], row["Stale"]) for row in rows] == [
            ("pay-1", "refused", "7s"),
            ("front-1", "synced", "-"),
        ]
        assert rows[0]["Problem"] == "routes/shop/echo:80: rules: bad"


@on_uvloop
async def test_sidecars_are_asked(tmp_path):
    proxies = connected()
    async with serve(tmp_path, proxies) as api:
        assert await api.get(f"{PROXY}/config") == (200, {})
        assert await api.get(f"{PROXY}/endpoints") == (200, [])
        assert await api.get(f"{PROXY}/metrics") == (200, "up 1\n")
        assert (await api.get(f"{PROXY}/secrets"))[0] == 404


@pytest.mark.parametrize(
    ("failure", "code", "reason"),
    [
        (TimeoutError(), 504, "Timeout"),
        (RuntimeError("asked too often"), 502, "BadGateway"),
        (LookupError(), 404, "NotFound"),
    ],
)
@on_uvloop
async def test_sidecars_that_do_not_answer(tmp_path, failure, code, reason):
    proxies = connected()
    proxies.answers["config"] = failure
    async with serve(tmp_path, proxies) as api:
        found, answer = await api.get(f"{PROXY}/config")
        assert (found, answer["reason"]) == (code, reason)
        assert "front-1" in answer["message"]


@on_uvloop
async def test_unknown_sidecars(tmp_path):
    async with serve(tmp_path) as api:
        for path in (PROXY, f"{PROXY}/config"):
            code, answer = await api.get(path)
            assert (code, answer["details"]) == (404, {"name": "front-1", "group": "meshproxy.io", "kind": "proxies"})
        assert (await api.ask("DELETE", PROXY))[0] == 405


@on_uvloop
async def test_explain(tmp_path):
    async with serve(tmp_path) as api:
        query = "url=http://echo/x&namespace=shop&serviceAccount=front&method=POST&header=A:%20b&header=C:d:e"
        assert await api.get(f"{MESH}/explain?{query}") == (
            200,
            {"url": "POST http://echo/x", "caller": "shop/front", "headers": [["A", "b"], ["C", "d:e"]]},
        )
        _, answer = await api.get(f"{MESH}/explain?url=http://echo")
        assert answer["caller"] == "default/default"
        many = "&header=a:b" * 65
        for bad in (
            "",
            "url=",
            "url=ftp://x",
            "url=http://x&header=a",
            "url=http://x&header=:a",
            f"url=http://x{many}",
        ):
            assert (await api.get(f"{MESH}/explain?{bad}"))[0] == 400
