"""Lists: selection, pages, tables, versions."""

import asyncio

from control.api import send
from tests.control import build
from tests.fakes.api import serve
from tests.fakes.loop import on_uvloop

PODS = "/api/v1/namespaces/shop/pods"
EVERYWHERE = "/api/v1/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


async def filled(api, count=7):
    """Pods a0, a1, ... in `shop`, each third with the label x=y, and one in another namespace."""
    for i in range(count):
        document = build.pod(f"a{i}", meshed=False, **({"x": "y"} if i % 3 == 0 else {}))
        assert (await api.post(PODS, document))[0] == 201
    assert (await api.post("/api/v1/namespaces/bank/pods", build.pod("b", namespace="bank")))[0] == 201


def names(body):
    return [item["metadata"]["name"] for item in body["items"]]


@on_uvloop
async def test_lists_of_one_and_of_all_namespaces(tmp_path):
    async with serve(tmp_path) as api:
        code, empty = await api.get(PODS)
        assert (code, empty) == (
            200,
            {"kind": "PodList", "apiVersion": "v1", "items": [], "metadata": {"resourceVersion": "0"}},
        )
        await filled(api)
        _, body = await api.get(PODS)
        assert names(body) == [f"a{i}" for i in range(7)]
        assert body["metadata"]["resourceVersion"] == "8"
        assert names((await api.get(EVERYWHERE))[1]) == ["b", *(f"a{i}" for i in range(7))]


@on_uvloop
async def test_selectors(tmp_path):
    async with serve(tmp_path) as api:
        await filled(api)
        assert names((await api.get(f"{PODS}?labelSelector=x%3Dy"))[1]) == ["a0", "a3", "a6"]
        assert names((await api.get(f"{PODS}?labelSelector=!x"))[1]) == ["a1", "a2", "a4", "a5"]
        assert names((await api.get(f"{EVERYWHERE}?fieldSelector=metadata.name%3Da3"))[1]) == ["a3"]
        assert names((await api.get(f"{EVERYWHERE}?fieldSelector=metadata.namespace!%3Dshop"))[1]) == ["b"]
        code, answer = await api.get(f"{PODS}?labelSelector=x%20is%20y")
        assert (code, answer["reason"]) == (400, "BadRequest")


@on_uvloop
async def test_pages_hold_everything_once(tmp_path):
    async with serve(tmp_path) as api:
        await filled(api)
        for query, expected in (("", ["b", *(f"a{i}" for i in range(7))]), ("&labelSelector=x", ["a0", "a3", "a6"])):
            found, token, rest = [], "", []
            while True:
                _, page = await api.get(f"{EVERYWHERE}?limit=3{query}&continue={token}")
                found += names(page)
                rest.append(page["metadata"].get("remainingItemCount"))
                token = page["metadata"].get("continue", "")
                if not token:
                    break
            assert found == expected
            assert rest == ([5, 2, None] if not query else [None])


@on_uvloop
async def test_what_happens_between_pages_is_told_by_a_watch_from_the_list(tmp_path):
    async with serve(tmp_path) as api:
        await filled(api)
        _, first = await api.get(f"{PODS}?limit=3")
        await api.delete(f"{PODS}/a0")
        await api.post(PODS, build.pod("a3x"))
        _, second = await api.get(f"{PODS}?limit=100&continue={first['metadata']['continue']}")
        assert names(second) == ["a3", "a3x", "a4", "a5", "a6"]
        version = second["metadata"]["resourceVersion"]
        assert version == first["metadata"]["resourceVersion"]
        async with api.watch(f"{PODS}?watch=1&resourceVersion={version}") as lines:
            assert await lines.told(2) == [("DELETED", "a0"), ("ADDED", "a3x")]


@on_uvloop
async def test_a_token_from_before_the_history_has_expired(tmp_path):
    async with serve(tmp_path) as api:
        await filled(api)
        _, page = await api.get(f"{PODS}?limit=3")
        await api.delete(f"{PODS}/a6")
    async with serve(tmp_path) as api:
        code, answer = await api.get(f"{PODS}?limit=3&continue={page['metadata']['continue']}")
        assert (code, answer["reason"]) == (410, "Expired")


@on_uvloop
async def test_versions_of_lists(tmp_path):
    async with serve(tmp_path) as api:
        await filled(api)
        for query in ("resourceVersion=0", "resourceVersion=3", "resourceVersion=8&resourceVersionMatch=Exact"):
            assert (await api.get(f"{PODS}?{query}"))[0] == 200
        code, answer = await api.get(f"{PODS}?resourceVersion=3&resourceVersionMatch=Exact")
        assert (code, answer["reason"]) == (410, "Expired")
        code, answer = await api.get(f"{PODS}?resourceVersion=99")
        assert (code, answer["reason"]) == (504, "Timeout")
        assert answer["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


@on_uvloop
async def test_tables(tmp_path):
    async with serve(tmp_path) as api:
        await filled(api)
        _, table = await api.get(PODS, Accept=f"{TABLE},application/json")
        assert (table["kind"], table["apiVersion"], len(table["rows"])) == ("Table", "meta.k8s.io/v1", 7)
        wide = {column["name"]: column["priority"] for column in table["columnDefinitions"]}
        assert wide == {"Name": 0, "Meshed": 0, "Account": 0, "IP": 0, "Phase": 1, "Node": 1, "Age": 0}
        assert table["rows"][0]["object"]["metadata"]["name"] == "a0"
        assert table["metadata"]["resourceVersion"] == "8"
        _, one = await api.get(f"{PODS}/a1?includeObject=Object", Accept=TABLE)
        assert one["rows"][0]["cells"][0] == "a1"
        assert one["rows"][0]["object"]["kind"] == "Pod"
        assert (await api.get(PODS, Accept="text/html"))[0] == 406
        assert (await api.get(f"{PODS}?includeObject=All"))[0] == 400


@on_uvloop
async def test_a_long_list_leaves_the_loop_to_others(tmp_path, monkeypatch):
    monkeypatch.setattr(send, "SLICE_S", 0.0)
    async with serve(tmp_path) as api:
        await filled(api, 100)
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        for query, accept in (("", "application/json"), ("", TABLE), ("?labelSelector=none", "application/json")):
            turns = 0
            assert (await api.get(PODS + query, Accept=accept))[0] == 200
            assert turns > 100
        counting.cancel()


@on_uvloop
async def test_a_long_list_is_sent_as_it_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(send, "CHUNK_BYTES", 1000)
    async with serve(tmp_path) as api:
        await filled(api, 20)
        async with api.session.get(api.url + PODS) as response:
            assert response.headers["Transfer-Encoding"] == "chunked"
            assert len(names(await response.json())) == 20
