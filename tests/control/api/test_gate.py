"""Who is let in."""

import asyncio
import base64

import pytest

from control.api import body, gate, server
from tests.control import build
from tests.fakes.api import TOKEN, serve
from tests.fakes.loop import on_uvloop

PODS = "/api/v1/pods"


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


@on_uvloop
async def test_the_token_is_asked_for_everywhere_but_health(tmp_path):
    async with serve(tmp_path) as api:
        for value in (
            "",
            "Bearer",
            "Bearer x",
            f"Bearer {TOKEN}x",
            f"Token {TOKEN}",
            TOKEN,
            basic("u:x"),
            "Basic %%%",
            basic(TOKEN),
            "Bearer \u00e9",
        ):
            for path in (PODS, "/apis", "/version", "/openapi.json", "/apis/meshproxy.io/v1alpha1/proxies"):
                async with api.session.get(api.url + path, headers={"Authorization": value}) as response:
                    assert response.status == 401
                    assert response.headers["WWW-Authenticate"] == "Bearer"
        assert await api.get("/healthz", Authorization="") == (200, "ok\n")


@pytest.mark.parametrize(
    "value", [f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic(f"kubectl:{TOKEN}"), basic(f":{TOKEN}")]
)
@on_uvloop
async def test_the_token_is_taken_as_bearer_and_as_a_password(tmp_path, value):
    async with serve(tmp_path) as api:
        assert (await api.get(PODS, Authorization=value))[0] == 200


@on_uvloop
async def test_a_foreign_host_is_refused(tmp_path):
    async with serve(tmp_path) as api:
        for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.1:15010"):
            code, answer = await api.get(PODS, Host=host)
            assert (code, answer["reason"]) == (403, "Forbidden")
            assert (await api.get("/healthz", Host=host))[0] == 403
        assert (await api.get(PODS, Host="localhost:15010"))[0] == 200


@on_uvloop
async def test_too_many_requests_are_told_when_to_come_again(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "RATE_PER_S", 0.001)
    monkeypatch.setattr(gate, "BURST", 3.0)
    async with serve(tmp_path) as api:
        codes = []
        for _ in range(5):
            async with api.session.get(api.url + PODS) as response:
                codes.append(response.status)
                last = response.headers
        assert codes == [200, 200, 200, 429, 429]
        assert last["Retry-After"] == "1"


@on_uvloop
async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(body, "READ_S", 0.05)
    monkeypatch.setattr(gate, "MAX_UNDER_WAY", 1)
    async with serve(tmp_path) as api:
        host, port = api.url.removeprefix("http://").split(":")
        reading, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /api/v1/namespaces/shop/pods HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{{".encode())
        async with asyncio.timeout(10):
            line = await reading.readline()
        assert line.split()[1] == b"408"
        writer.close()
        assert (await api.get(PODS))[0] == 200  # nothing is under way any more


@on_uvloop
async def test_requests_under_way_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "MAX_UNDER_WAY", 0)
    async with serve(tmp_path) as api:
        assert (await api.get(PODS))[0] == 429


@on_uvloop
async def test_a_request_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "REQUEST_S", 0.05)
    async with serve(tmp_path) as api:
        host, port = api.url.removeprefix("http://").split(":")
        reading, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /api/v1/namespaces/shop/pods HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{{".encode())
        async with asyncio.timeout(10):
            assert await reading.read() == b""
        writer.close()


@on_uvloop
async def test_other_methods_and_paths(tmp_path):
    async with serve(tmp_path) as api:
        async with api.session.put(api.url + PODS) as response:
            assert response.status == 405
            assert response.headers["Allow"] == "GET"
            assert (await response.json())["reason"] == "MethodNotAllowed"
        assert await api.get("/nothing") == (404, "404 page not found\n")
        assert (await api.get("/apis/apps/v1"))[0] == 404


@on_uvloop
async def test_what_fails_within_is_told_without_details(tmp_path, monkeypatch, caplog):
    async with serve(tmp_path) as api:
        monkeypatch.setattr(api.store.__class__, "list", lambda *_: 1 / 0)
        code, answer = await api.get(PODS)
        assert (code, answer["reason"]) == (500, "InternalError")
        assert "division" not in answer["message"]
    assert "division" in caplog.text
    assert TOKEN not in caplog.text


@on_uvloop
async def test_a_disk_that_takes_nothing_is_told(tmp_path, monkeypatch):
    from control.store.store import StoreError

    async def full(*_, **__):
        raise StoreError("the disk is full; nothing was changed")

    async with serve(tmp_path) as api:
        monkeypatch.setattr(api.store.__class__, "mutate", full)
        code, answer = await api.post("/api/v1/namespaces/shop/services", build.service("a"))
        assert (code, answer["reason"]) == (503, "ServiceUnavailable")
        assert "disk is full" in answer["message"]
