"""Watches over real sockets."""

import asyncio

import pytest

from control.api import reader, watcher
from control.api.query import Selection
from control.api.selector import parse_fields, parse_labels
from control.api.watcher import Line, select
from control.model.kinds import SERVICE
from control.model.objects import Key
from control.store.records import Event
from tests.control import build
from tests.fakes.api import serve
from tests.fakes.loop import on_uvloop, until

SERVICES = "/api/v1/namespaces/shop/services"
WATCH = f"{SERVICES}?watch=true"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
INITIAL = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"


def service(name, **labels):
    return {**build.service(name), "metadata": {"name": name, "labels": labels}}


def body(**labels):
    return b'{"metadata":{"labels":{%b}}}' % b",".join(
        b'"%b":"%b"' % (k.encode(), v.encode()) for k, v in labels.items()
    )


@pytest.mark.parametrize(
    ("kind", "before", "after", "told"),
    [
        ("ADDED", None, "y", "ADDED"),
        ("ADDED", None, "z", None),
        ("MODIFIED", "y", "y", "MODIFIED"),
        ("MODIFIED", "z", "y", "ADDED"),
        ("MODIFIED", "y", "z", "DELETED"),
        ("MODIFIED", "z", "z", None),
        ("DELETED", None, "y", "DELETED"),
        ("DELETED", None, "z", None),
    ],
)
def test_what_an_event_is_to_those_who_see_a_selection(kind, before, after, told):
    event = Event(kind, SERVICE, Key("shop", "a"), 1, body(x=after), body(x=before) if before else b"")
    line = select(event, Selection("shop", parse_labels("x=y"), ()))
    assert line == (Line(told, event.body) if told else None)
    assert select(event, Selection("bank", (), ())) is None
    assert select(event, Selection("", (), parse_fields("metadata.name=b"))) is None
    assert select(event, Selection("", (), parse_fields("metadata.name=a"))) == Line(kind, event.body)


@on_uvloop
async def test_a_watch_without_version_begins_with_what_there_is(tmp_path):
    async with serve(tmp_path) as api:
        await api.post(SERVICES, service("a"))
        for query in ("", "&resourceVersion=0"):
            async with api.watch(WATCH + query) as lines:
                assert await lines.told(1) == [("ADDED", "a")]
                await api.merge(f"{SERVICES}/a", {"metadata": {"annotations": {"q": query + "x"}}})
                assert await lines.told(1) == [("MODIFIED", "a")]


@on_uvloop
async def test_a_watch_goes_on_from_a_version(tmp_path):
    async with serve(tmp_path) as api:
        for name in "abc":
            await api.post(SERVICES, service(name))
        async with api.watch(f"{WATCH}&resourceVersion=1") as lines:
            assert await lines.told(2) == [("ADDED", "b"), ("ADDED", "c")]
            await api.delete(f"{SERVICES}/b")
            event = await lines.next()
            assert (event["type"], event["object"]["metadata"]["resourceVersion"]) == ("DELETED", "4")


@on_uvloop
async def test_a_watch_from_the_future_tells_what_comes_after_it(tmp_path):
    async with serve(tmp_path) as api, api.watch(f"{WATCH}&resourceVersion=2") as lines:
        for name in "abc":
            await api.post(SERVICES, service(name))
        assert await lines.told(1) == [("ADDED", "c")]


@on_uvloop
async def test_initial_events_end_with_a_bookmark(tmp_path):
    async with serve(tmp_path) as api:
        await api.post(SERVICES, service("a"))
        async with api.watch(f"{WATCH}&{INITIAL}") as lines:
            assert await lines.told(1) == [("ADDED", "a")]
            event = await lines.next()
            assert event["type"] == "BOOKMARK"
            assert event["object"]["kind"] == "Service"
            metadata = event["object"]["metadata"]
            assert metadata["resourceVersion"] == "1"
            assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
            await api.post(SERVICES, service("b"))
            assert await lines.told(1) == [("ADDED", "b")]


@on_uvloop
async def test_what_leaves_a_selection_is_deleted_also_in_what_is_replayed(tmp_path):
    async with serve(tmp_path) as api:
        await api.post(SERVICES, service("a", x="y"))
        await api.put(f"{SERVICES}/a", service("a", x="z"))
        await api.put(f"{SERVICES}/a", service("a", x="y", more="1"))
        path = f"{WATCH}&labelSelector=x%3Dy&resourceVersion=1"
        async with api.watch(path) as lines:
            assert await lines.told(2) == [("DELETED", "a"), ("ADDED", "a")]
            await api.post(SERVICES, service("b", x="z"))
            await api.put(f"{SERVICES}/a", service("a", x="y", more="2"))
            assert await lines.told(1) == [("MODIFIED", "a")]


@on_uvloop
async def test_a_version_that_is_too_old_is_told_as_an_event(tmp_path):
    async with serve(tmp_path) as api:
        for name in "ab":
            await api.post(SERVICES, service(name))
    async with serve(tmp_path) as api:
        async with api.watch(f"{WATCH}&resourceVersion=1") as lines:
            event = await lines.next()
            assert event == {
                "type": "ERROR",
                "object": {
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": "too old resource version: 1 (2)", "reason": "Expired", "code": 410,
                },
            }  # fmt: skip
            with pytest.raises(EOFError):
                await lines.next()
        async with api.watch(f"{WATCH}&resourceVersion=2") as lines:
            await api.delete(f"{SERVICES}/a")
            assert await lines.told(1) == [("DELETED", "a")]


@on_uvloop
async def test_bookmarks_come_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "BOOKMARK_S", 0.05)
    async with (
        serve(tmp_path) as api,
        api.watch(f"{WATCH}&resourceVersion=0&allowWatchBookmarks=true&timeoutSeconds=1") as lines,
    ):
        await api.post("/api/v1/namespaces/shop/pods", build.pod("a"))
        versions = []
        async for event in lines.rest():
            assert event["type"] == "BOOKMARK"
            versions.append(event["object"]["metadata"]["resourceVersion"])
        assert versions[-1] == "1"  # moved on by another kind's event
        assert len(versions) > 2


@on_uvloop
async def test_tables_are_watched_too(tmp_path):
    async with serve(tmp_path) as api, api.watch(WATCH, Accept=TABLE) as lines:
        await api.post(SERVICES, service("a"))
        await api.post(SERVICES, service("b"))
        first, second = (await lines.next())["object"], (await lines.next())["object"]
        assert first["columnDefinitions"][0]["name"] == "Name"
        assert first["rows"][0]["cells"][0] == "a"
        assert second["columnDefinitions"] is None
        assert second["rows"][0]["object"]["metadata"]["name"] == "b"


@pytest.mark.parametrize(("bound", "most"), [("MAX_QUEUED", 2), ("MAX_QUEUED_BYTES", 5)])
def test_a_watcher_that_does_not_keep_up_is_ended_and_told(tmp_path, monkeypatch, bound, most):
    monkeypatch.setattr(watcher, bound, most)

    @on_uvloop
    async def run():
        async with serve(tmp_path) as api:
            async with api.watch(WATCH) as lines:
                await until(lambda: len(api.api._watchers) == 1)
                (mine,) = api.api._watchers._all
                mine.on_events(
                    [Event("ADDED", SERVICE, Key("shop", f"s{i}"), 100 + i, b"{}") for i in range(3)],
                )
                event = await lines.next()
                assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
                with pytest.raises(EOFError):
                    await lines.next()
            await until(lambda: len(api.api._watchers) == 0)

    run()


@on_uvloop
async def test_a_client_that_reads_nothing_is_dropped_and_delays_nobody(tmp_path, monkeypatch):
    from control.api import stream

    monkeypatch.setattr(stream, "WRITE_S", 0.2)
    async with serve(tmp_path) as api:
        host, port = api.url.removeprefix("http://").split(":")
        asleep, writer = await asyncio.open_connection(host, int(port), limit=2**10)
        asleep._transport.pause_reading()
        token = api.session.headers["Authorization"]
        writer.write(f"GET {WATCH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\n\r\n".encode())
        await until(lambda: len(api.api._watchers) == 1)
        big = service("a")
        for i in range(30):
            big["metadata"]["annotations"] = {"a": f"{i}" + "x" * 500_000}
            await api.apply(f"{SERVICES}/a?fieldManager=t", big)
            if not len(api.api._watchers):
                break
        await until(lambda: len(api.api._watchers) == 0)
        writer.close()


@on_uvloop
async def test_watches_are_bounded_in_number(tmp_path, monkeypatch):
    monkeypatch.setattr(watcher, "MAX_WATCHERS", 1)
    async with serve(tmp_path) as api:
        async with api.watch(WATCH):
            await until(lambda: len(api.api._watchers) == 1)
            async with api.session.get(api.url + WATCH) as response:
                assert response.status == 429
                assert response.headers["Retry-After"]
        await until(lambda: len(api.api._watchers) == 0)


@on_uvloop
async def test_watches_end_when_the_api_ends(tmp_path):
    async with serve(tmp_path) as api, api.watch(WATCH) as lines:
        await until(lambda: len(api.api._watchers) == 1)
        stopping = asyncio.create_task(api.api.stop())
        with pytest.raises(EOFError):
            await lines.next()
        await stopping


@on_uvloop
async def test_a_label_that_is_null_is_none_and_hides_nothing_from_those_who_select_by_labels(tmp_path):
    selector = "labelSelector=app%3Decho"
    async with serve(tmp_path) as api, api.watch(f"{WATCH}&{selector}") as lines:
        for name in ("a", "b"):
            assert (await api.post(SERVICES, service(name, app="echo", track=None)))[0] == 201
            event = await lines.next()
            assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", name)
        code, found = await api.get(f"{SERVICES}?{selector},!track")
        assert (code, len(found["items"])) == (200, 2)


@on_uvloop
async def test_a_watch_that_fails_ends_with_an_error_and_keeps_no_other_from_what_happens(
    tmp_path, monkeypatch, caplog
):
    real = watcher.select

    def broken(event, selection):
        if selection.labels:
            raise ZeroDivisionError
        return real(event, selection)

    async with serve(tmp_path) as api:
        async with (
            api.watch(f"{WATCH}&labelSelector=a") as one,
            api.watch(WATCH) as other,
            api.watch(f"{WATCH}&labelSelector=b") as third,
        ):
            await until(lambda: len(api.api._watchers) == 3)
            monkeypatch.setattr(watcher, "select", broken)
            await api.post(SERVICES, service("a"))
            assert (await other.next())["object"]["metadata"]["name"] == "a"
            for lines in (one, third):
                event = await lines.next()
                assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
        await until(lambda: len(api.api._watchers) == 0)
    assert caplog.text.count("a watch cannot be told") == 2
