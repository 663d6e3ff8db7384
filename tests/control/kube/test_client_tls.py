"""Whom the client believes, what it shows, and through what it goes."""

from __future__ import annotations

import asyncio
import base64
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from control.kube import tls as module
from control.kube.client import Client
from control.kube.connection import in_cluster, load
from control.kube.failure import KubeError
from tests.fakes.apiserver import Tls, serving, write_kubeconfig
from tests.fakes.loop import on_uvloop
from tests.fakes.pki import issue, make_ca


async def handle(request: web.Request) -> web.Response:
    """Say who asks."""
    certificate = request.get_extra_info("peercert")
    shown = certificate["serialNumber"] if certificate else ""
    return web.Response(text=f"{request.headers.get('Authorization', '')}|{shown}")


@asynccontextmanager
async def asking(file: Path, cluster: dict[str, Any], user: dict[str, Any] | None = None) -> AsyncIterator[Client]:
    client = Client(load(write_kubeconfig(file, cluster, user), ""))
    try:
        yield client
    finally:
        await client.close()


async def failure(client: Client) -> str:
    with pytest.raises(KubeError) as caught:
        await client.get("/version")
    assert caught.value.code == 0
    return str(caught.value)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@on_uvloop
async def test_another_authority_is_refused(tmp_path):
    async with serving(handle, Tls(tmp_path).context()) as port:
        cluster = {"server": f"https://localhost:{port}", "certificate-authority-data": encoded(make_ca("other").pem)}
        async with asking(tmp_path / "config", cluster) as client:
            told = await failure(client)
    assert told.startswith(f"GET /version: the certificate of https://localhost:{port} is refused: ")


@on_uvloop
async def test_without_an_authority_the_systems_are_believed_and_no_other(tmp_path):
    async with serving(handle, Tls(tmp_path).context()) as port:
        cluster = {"server": f"https://localhost:{port}"}
        async with asking(tmp_path / "config", cluster) as client:
            told = await failure(client)
    assert f"the certificate of https://localhost:{port} is refused: unable to get local issuer certificate" in told


@on_uvloop
async def test_another_name_is_refused(tmp_path):
    tls = Tls(tmp_path, ["kubernetes.default.svc"])
    async with serving(handle, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
        async with asking(tmp_path / "config", cluster) as client:
            told = await failure(client)
    assert "Hostname mismatch, certificate is not valid for 'localhost'" in told


@on_uvloop
async def test_tls_server_name_is_checked_in_place_of_the_host(tmp_path):
    tls = Tls(tmp_path, ["kubernetes.default.svc"])
    async with serving(handle, tls.context()) as port:
        cluster = {"server": f"https://127.0.0.1:{port}", **tls.authority}
        async with asking(tmp_path / "a", {**cluster, "tls-server-name": "kubernetes.default.svc"}) as client:
            assert await client.get("/version") == b"|"
        async with asking(tmp_path / "b", {**cluster, "tls-server-name": "elsewhere"}) as client:
            assert "not valid for 'elsewhere'" in await failure(client)


@pytest.mark.parametrize("where", ["data", "files"])
@on_uvloop
async def test_a_client_certificate_is_shown(tmp_path, where):
    clients = make_ca("clients")
    certificate, key = issue([], clients)
    if where == "data":
        user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    else:
        (tmp_path / "tls.crt").write_bytes(certificate)
        (tmp_path / "tls.key").write_bytes(key)
        user = {"client-certificate": "tls.crt", "client-key": "tls.key"}
    tls = Tls(tmp_path, clients=clients)
    async with serving(handle, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
        async with asking(tmp_path / "config", cluster, user) as client:
            assert (await client.get("/version")).startswith(b"|")
            assert len(await client.get("/version")) > 10
        async with asking(tmp_path / "config", cluster) as client:
            await failure(client)  # TLS 1.3 tells of it after the request was written


@on_uvloop
async def test_a_certificate_renewed_in_its_files_is_shown_after_a_minute(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "REREAD_S", 0.0)
    clients = make_ca("clients")
    tls = Tls(tmp_path, clients=clients)

    def renew() -> None:
        certificate, key = issue([], clients)
        (tmp_path / "tls.crt").write_bytes(certificate)
        (tmp_path / "tls.key").write_bytes(key)

    renew()
    user = {"client-certificate": "tls.crt", "client-key": "tls.key"}
    async with serving(handle, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
        async with asking(tmp_path / "config", cluster, user) as client:
            first = await client.get("/version")
            assert await client.get("/version") == first
            (tmp_path / "tls.key").write_bytes(issue([], clients)[1])  # half-way: not the certificate's key
            assert await client.get("/version") == first
            renew()
            second = await client.get("/version")
            assert second != first
            (tmp_path / "tls.key").unlink()
            assert await client.get("/version") == second


@on_uvloop
async def test_in_a_pod_a_renewed_token_and_a_renewed_authority_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "REREAD_S", 0.0)
    before, after = Tls(tmp_path), Tls(tmp_path)
    (tmp_path / "token").write_text("one\n")
    (tmp_path / "ca.crt").write_bytes(before.ca.pem)
    async with serving(handle, before.context()) as port, serving(handle, after.context()) as next_port:
        environment = {"KUBERNETES_SERVICE_HOST": "localhost", "KUBERNETES_SERVICE_PORT": str(port)}
        first = in_cluster(tmp_path, environment)
        client = Client(first)
        assert await client.get("/version") == b"Bearer one|"
        await client.close()
        second = Client(in_cluster(tmp_path, {**environment, "KUBERNETES_SERVICE_PORT": str(next_port)}))
        assert "is refused" in await failure(second)
        (tmp_path / "ca.crt").write_bytes(after.ca.pem)
        assert await second.get("/version") == b"Bearer one|"
        await second.close()


@on_uvloop
async def test_after_a_401_the_token_file_is_read_anew(tmp_path):
    valid = "Bearer two"

    async def guarded(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.headers["Authorization"] == valid else 401)

    (tmp_path / "token").write_text("one")
    tls = Tls(tmp_path)
    async with serving(guarded, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
        async with asking(tmp_path / "config", cluster, {"tokenFile": "token"}) as client:
            with pytest.raises(KubeError, match="not accepted"):
                await client.get("/version")
            (tmp_path / "token").write_text("two")
            assert await client.get("/version") == b""


@on_uvloop
async def test_what_a_plugin_gives_is_used_token_and_certificate(tmp_path):
    clients = make_ca("clients")
    certificate, key = issue([], clients)
    tls = Tls(tmp_path, clients=clients)
    script = tmp_path / "plugin"
    script.write_text(
        f"#!{sys.executable}\nimport json\n"
        f"status = {{'token': 'minted', 'clientCertificateData': {certificate.decode()!r},"
        f" 'clientKeyData': {key.decode()!r}}}\n"
        "version = 'client.authentication.k8s.io/v1'\n"
        "print(json.dumps({'apiVersion': version, 'kind': 'ExecCredential', 'status': status}))"
    )
    script.chmod(stat.S_IRWXU)
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "interactiveMode": "Never"}
    }
    async with serving(handle, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
        async with asking(tmp_path / "config", cluster, user) as client:
            bodies = await asyncio.gather(*(client.get("/version") for _ in range(3)))
    assert len(set(bodies)) == 1
    assert bodies[0].startswith(b"Bearer minted|")
    assert len(bodies[0]) > 20


@on_uvloop
async def test_a_plugin_that_fails_fails_the_request(tmp_path):
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}}
    async with asking(tmp_path / "config", {"server": "http://localhost:1"}, user) as client:
        told = await failure(client)
    assert told == f"{tmp_path}/config: user test: exec: ./plugin: cannot be started: No such file or directory"


@pytest.mark.parametrize("answer", [200, 407])
@on_uvloop
async def test_proxy_url_is_gone_through(tmp_path, answer):
    tunnels: list[bytes] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        tunnels.append(head)
        writer.write(b"HTTP/1.1 %d X\r\n\r\n" % answer)
        if answer == 200:
            there_reader, there = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, there), _copy(there_reader, writer))
        writer.close()

    tls = Tls(tmp_path)
    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    proxy_url = f"http://user:pass@127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    async with serving(handle, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority, "proxy-url": proxy_url}
        async with asking(tmp_path / "config", cluster, {"token": "secret"}) as client:
            if answer == 200:
                assert await client.get("/version") == b"Bearer secret|"
            else:
                assert await failure(client) == f"GET /version: the proxy of https://localhost:{port} answered 407"
    proxy.close()
    assert tunnels[0].startswith(b"CONNECT localhost:%d " % port)
    assert b"secret" not in tunnels[0]


@on_uvloop
async def test_a_proxy_that_is_away_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        proxy_url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    async with asking(tmp_path / "config", {"server": "https://localhost:1", "proxy-url": proxy_url}) as client:
        told = await failure(client)
    assert told == "GET /version: cannot connect to the proxy of https://localhost:1: Connection refused"


@on_uvloop
async def test_proxies_and_passwords_of_the_environment_are_left_alone(tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login a password b")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    tls = Tls(tmp_path)
    async with serving(handle, tls.context()) as port:
        cluster = {"server": f"https://localhost:{port}", **tls.authority}
        async with asking(tmp_path / "config", cluster) as client:
            assert await client.get("/version") == b"|"


@on_uvloop
async def test_a_certificate_through_a_proxy_is_checked_as_well(tmp_path):
    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        there_reader, there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, there), _copy(there_reader, writer))

    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    proxy_url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    async with serving(handle, Tls(tmp_path).context()) as port:
        cluster = {
            "server": f"https://localhost:{port}",
            "certificate-authority-data": encoded(make_ca("other").pem),
            "proxy-url": proxy_url,
        }
        async with asking(tmp_path / "config", cluster, {"token": "secret"}) as client:
            assert "is refused" in await failure(client)
    proxy.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@on_uvloop
async def test_a_server_that_does_not_shake_hands_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("control.kube.client.CONNECT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with asking(tmp_path / "config", {"server": f"https://localhost:{port}"}) as client:
            assert await failure(client) == f"GET /version: no connection to https://localhost:{port} within 0.05 s"
