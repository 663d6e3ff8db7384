"""What the API counts and logs, and what it says of itself."""

import asyncio
import json
import logging

from prometheus_client import CollectorRegistry, generate_latest

from control.api import form, openapi
from control.api.operations import OPERATIONS
from control.api.resource import RESOURCES
from control.api.server import Api
from control.api.writer import Writer
from control.store.store import Store
from tests.control import build
from tests.fakes.api import TOKEN, Connected, checked, explained, serve
from tests.fakes.loop import on_uvloop, until

SERVICES = "/api/v1/namespaces/shop/services"


def test_operations_have_names_of_their_own():
    described = json.loads(openapi.document())
    names = [item["operationId"] for path in described["paths"].values() for item in path.values()]
    assert len(names) == len(set(names)) == len(OPERATIONS)


def test_kubectl_finds_that_the_server_checks_fields():
    for resource in RESOURCES:
        part = json.loads(openapi.part(resource.group_version))
        (patch,) = (
            item["patch"]
            for path, item in part["paths"].items()
            if path.endswith(f"/{resource.kind.plural}/{{name}}") and "patch" in item
        )
        assert patch["x-kubernetes-group-version-kind"]["kind"] == resource.kind.name
        assert {"fieldValidation", "dryRun"} <= {item["name"] for item in patch["parameters"]}
    assert openapi.part("apps/v1") is None
    assert set(openapi.index()["paths"]) == {resource.root.removeprefix("/") for resource in RESOURCES}


@on_uvloop
async def test_requests_and_watches_are_counted(tmp_path):
    registry = CollectorRegistry()
    async with serve(tmp_path, registry=registry) as api:
        await api.post(SERVICES, build.service("a"))
        await api.get(f"{SERVICES}/none")
        async with api.watch(f"{SERVICES}?watch=1"):
            await until(lambda: registry.get_sample_value("meshcontrol_api_watches") == 1)
        await until(lambda: registry.get_sample_value("meshcontrol_api_watches") == 0)
        count = "meshcontrol_api_requests_total"
        assert registry.get_sample_value(count, {"action": "create", "code": "201"}) == 1
        assert registry.get_sample_value(count, {"action": "get", "code": "404"}) == 1
        await until(lambda: registry.get_sample_value(count, {"action": "list", "code": "499"}) == 1)
        shown = generate_latest(registry).decode()
        assert 'meshcontrol_api_request_duration_seconds_count{action="create"} 1.0' in shown
        assert 'meshcontrol_api_request_duration_seconds_count{action="list"}' not in shown


@on_uvloop
async def test_each_request_is_a_line_of_the_log_without_secrets(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "control")
    async with serve(tmp_path) as api:
        await api.get(f"{SERVICES}/none")
    lines = [record.getMessage() for record in caplog.records if record.name == "control.api.server"]
    assert len(lines) == 1
    assert f"method=GET path={SERVICES}/none action=get code=404" in lines[0]
    assert TOKEN not in caplog.text


@on_uvloop
async def test_an_api_ends_that_was_never_started(tmp_path):
    store = await Store.open(tmp_path)
    await Api(store, Writer(store), TOKEN, Connected(), explained, checked, CollectorRegistry()).stop()
    await store.close()


@on_uvloop
async def test_any_namespace_is_there(tmp_path):
    async with serve(tmp_path) as api:
        code, found = await api.get("/api/v1/namespaces/shop")
        assert (code, found["kind"], found["metadata"]) == (200, "Namespace", {"name": "shop"})
        assert (await api.get("/api/v1/namespaces/Shop"))[0] == 404


@on_uvloop
async def test_an_answer_that_fails_in_its_midst_is_cut_off_and_not_followed_by_another(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("control.api.send.CHUNK_BYTES", 100)
    real = form.Form._converted

    def broken(self, body):
        if b'"b"' in body:
            raise ZeroDivisionError
        return real(self, body)

    async with serve(tmp_path) as api:
        for name in "abc":
            await api.post(SERVICES, build.service(name))
        monkeypatch.setattr(form.Form, "_converted", broken)
        for query in ("", "?watch=1"):
            host, port = api.url.removeprefix("http://").split(":")
            asleep, writer = await asyncio.open_connection(host, int(port))
            head = f"GET {SERVICES}{query} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            writer.write(head.encode())
            text = await asleep.read()
            writer.close()
            # A watch that has sent nothing yet can still say what is wrong.
            assert text.count(b"HTTP/1.1") == 1
            assert query or (text.startswith(b"HTTP/1.1 200") and b'"a"' in text and not text.endswith(b"0\r\n\r\n"))
    assert caplog.text.count(f"{SERVICES} failed") == 2


@on_uvloop
async def test_connections_are_bounded_and_one_too_many_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("control.api.server.MAX_CONNECTIONS", 3)
    async with serve(tmp_path) as api:
        host, port = api.url.removeprefix("http://").split(":")
        assert (await api.get("/healthz"))[0] == 200
        held = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        asleep, writer = await asyncio.open_connection(host, int(port))
        assert await asleep.read() == b""
        writer.close()
        # Who is connected goes on, and there is room again for another.
        assert (await api.get("/healthz"))[0] == 200
        for _, other in held:
            other.close()
        await until(lambda: len(api.api._listener._runner.server.connections) == 1)
        asleep, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert b"200 OK" in await asleep.read()
        writer.close()
