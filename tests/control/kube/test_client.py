"""The client over real TLS: what is asked, what comes back, what is refused, and in which words."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from control.kube import client as module
from control.kube.client import Client
from control.kube.connection import load
from control.kube.failure import KubeError
from tests.fakes.apiserver import Handler, Tls, serving, write_kubeconfig
from tests.fakes.loop import on_uvloop

ERRORS = Path(__file__).parents[4] / "shared" / "kubernetes" / "recordings" / "errors"


@asynccontextmanager
async def asking(folder: Path, handler: Handler, user: dict[str, Any] | None = None) -> AsyncIterator[Client]:
    """A client of a server that answers as `handler` does."""
    tls = Tls(folder)
    async with serving(handler, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}/", **tls.authority}
        client = Client(load(write_kubeconfig(folder / "kubeconfig", cluster, user), ""))
        try:
            yield client
        finally:
            await client.close()


async def failure_of(client: Client, path: str = "/version", **options: Any) -> KubeError:
    with pytest.raises(KubeError) as caught:
        await client.get(path, **options)
    return caught.value


def answering(**answer: Any) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(**answer)

    return handle


@on_uvloop
async def test_a_get_brings_the_body_and_says_who_asks_for_what(tmp_path):
    asked: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(body=b'{"items": []}')

    async with asking(tmp_path, handle, {"token": "secret"}) as client:
        query = {"limit": "500", "continue": "a+b/c="}
        assert await client.get("/api/v1/pods", query, accept="application/json;as=X") == b'{"items": []}'
    (request,) = asked
    assert (request.path, dict(request.query)) == ("/api/v1/pods", query)
    headers = request.headers
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Accept"] == "application/json;as=X"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"].startswith("meshcontrol/")


@on_uvloop
async def test_a_post_sends_json_and_takes_a_201(tmp_path):
    asked: list[tuple[str, str, bytes]] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append((request.method, request.headers["Content-Type"], await request.read()))
        return web.Response(status=201, body=b"made")

    async with asking(tmp_path, handle) as client:
        assert await client.post("/apis/x/v1/reviews", b'{"kind": "Review"}') == b"made"
    assert asked == [("POST", "application/json", b'{"kind": "Review"}')]


@on_uvloop
async def test_connections_are_used_again(tmp_path):
    transports = set()

    async def handle(request: web.Request) -> web.Response:
        transports.add(id(request.transport))
        return web.Response(body=b"x")

    async with asking(tmp_path, handle) as client:
        for _ in range(3):
            await client.get("/version")
    assert len(transports) == 1


@on_uvloop
async def test_a_refusal_is_told_with_its_code_and_reason(tmp_path):
    status = {
        "kind": "Status",
        "message": 'pods is forbidden: User "x" cannot list',
        "reason": "Forbidden",
        "code": 403,
    }
    async with asking(tmp_path, answering(status=403, text=json.dumps(status))) as client:
        failure = await failure_of(client)
    assert (failure.code, failure.reason, failure.retry_after_s) == (403, "Forbidden", 0.0)
    assert str(failure) == 'pods is forbidden: User "x" cannot list (403 Forbidden)'


@on_uvloop
async def test_refused_credentials_are_named_but_not_shown(tmp_path):
    status = {"kind": "Status", "message": "Unauthorized", "reason": "Unauthorized", "code": 401}
    async with asking(tmp_path, answering(status=401, text=json.dumps(status)), {"token": "hidden-token"}) as client:
        failure = await failure_of(client)
    assert failure.code == 401
    assert str(failure) == (
        f"the credentials of kubeconfig {tmp_path}/kubeconfig, context test are not accepted:"
        " Unauthorized (401 Unauthorized)"
    )


@on_uvloop
async def test_retry_after_is_read_in_both_forms(tmp_path):
    answers = iter(["7", format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True), "soon"])

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": next(answers)})

    async with asking(tmp_path, handle) as client:
        waits = [(await failure_of(client)).retry_after_s for _ in range(3)]
    assert waits[0] == 7.0
    assert 90.0 < waits[1] <= 100.0
    assert waits[2] == 0.0


@on_uvloop
async def test_a_redirect_is_not_followed(tmp_path):
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with asking(tmp_path, handle, {"token": "secret"}) as client:
        failure = await failure_of(client)
    assert (failure.code, str(failure)) == (302, "GET /version was answered by 302 Found: redirects are not followed")
    assert asked == ["/version"]


@pytest.mark.parametrize("is_told", [True, False], ids=["length", "chunks"])
@on_uvloop
async def test_a_body_beyond_its_bound_is_refused(tmp_path, monkeypatch, is_told):
    monkeypatch.setattr(module, "MAX_BODY", 100_000)

    async def handle(request: web.Request) -> web.StreamResponse:
        if is_told:
            return web.Response(body=bytes(100_001))
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(bytes(100_001))
        return response

    async with asking(tmp_path, handle) as client:
        failure = await failure_of(client)
    assert str(failure) == "GET /version: the answer is larger than 100000 bytes"


@on_uvloop
async def test_an_endless_body_is_not_read_to_its_end(tmp_path):
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1 << 20))

    async with asking(tmp_path, handle) as client:
        assert "larger than 67108864 bytes" in str(await failure_of(client))


@on_uvloop
async def test_an_error_of_any_length_is_told_in_a_sentence(tmp_path):
    async with asking(tmp_path, answering(status=500, body=b"<html>\x1b[31m\n" + b"x" * 1_000_000)) as client:
        failure = await failure_of(client)
    assert failure.code == 500
    assert str(failure).startswith("GET /version was answered by 500 Internal Server Error: <html>?[31m xxx")
    assert len(str(failure)) < 700


@on_uvloop
async def test_what_was_compressed_unasked_is_refused(tmp_path):
    bomb = gzip.compress(bytes(1 << 20))
    async with asking(tmp_path, answering(body=bomb, headers={"Content-Encoding": "gzip"})) as client:
        failure = await failure_of(client)
    assert str(failure) == "GET /version was answered with Content-Encoding gzip, unasked for"


@on_uvloop
async def test_no_answer_in_time_is_told(tmp_path):
    async def handle(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with asking(tmp_path, handle) as client:
        failure = await failure_of(client, timeout_s=0.05)
    assert (failure.code, str(failure)) == (0, "GET /version: nothing came for 0.05 s")


@on_uvloop
async def test_a_body_that_stops_in_its_middle_is_told(tmp_path):
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        request.transport.abort()
        return response

    async with asking(tmp_path, handle) as client:
        failure = await failure_of(client)
    assert (failure.code, str(failure)) == (0, "GET /version: the answer was cut off")


@on_uvloop
async def test_a_post_that_met_a_closing_connection_is_not_repeated(tmp_path):
    asked = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.method)
        if len(asked) > 1:
            request.transport.abort()
        return web.Response()

    async with asking(tmp_path, handle) as client:
        await client.get("/version")
        with pytest.raises(KubeError, match=r"closed the connection without an answer|broke"):
            await client.post("/apis", b"{}")
    assert asked == ["GET", "POST"]


@on_uvloop
async def test_a_server_that_is_away_is_told(tmp_path):
    tls = Tls(tmp_path)
    async with serving(answering(), tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
    client = Client(load(write_kubeconfig(tmp_path / "kubeconfig", cluster), ""))
    failure = await failure_of(client)
    await client.close()
    assert failure.code == 0
    assert str(failure) == f"GET /version: cannot connect to https://localhost:{port}: Connection refused"


@on_uvloop
async def test_what_is_no_http_is_told(tmp_path):
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = Client(load(write_kubeconfig(tmp_path / "kubeconfig", {"server": f"http://localhost:{port}"}), ""))
    failure = await failure_of(client)
    await client.close()
    server.close()
    assert str(failure) == f"GET /version: the answer of http://localhost:{port} is no HTTP"


@pytest.mark.skipif(not ERRORS.is_dir(), reason="the recordings are not beside the checkout")
@on_uvloop
async def test_every_recorded_error_becomes_a_sentence(tmp_path):
    recorded = {file.stem: json.loads(file.read_text()) for file in sorted(ERRORS.glob("*.json"))}
    refusals = {name: it for name, it in recorded.items() if it["status"] >= 400}
    assert len(refusals) >= 8

    async def handle(request: web.Request) -> web.Response:
        body = refusals[request.path[1:]]["body"]
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=refusals[request.path[1:]]["status"], text=text)

    async with asking(tmp_path, handle) as client:
        for name, it in refusals.items():
            failure = await failure_of(client, f"/{name}")
            assert failure.code == it["status"], name
            if isinstance(it["body"], dict):
                assert failure.reason == it["body"]["reason"]
                assert it["body"]["message"][:400] in str(failure)
        assert str(await failure_of(client, "/unknown-kind")) == (
            "GET /unknown-kind was answered by 404 Not Found: 404 page not found"
        )
