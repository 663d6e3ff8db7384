"""What is Envoy's alone: whom it repeats, the time of a whole request, and the mTLS pair."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import ssl
from pathlib import Path

import pytest

from loadtest.subjects.envoy import Envoy
from tests.loadtest.subjects.proxied import Proxied, running, until

PAIR = pytest.mark.parametrize("name", ["envoy", "envoy-mtls"])


@PAIR
async def test_a_write_is_not_repeated_after_a_code(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2, retries=2, retry_codes=[503]) as proxied:
        for backend in proxied.backends:
            backend.mood = "503"
        assert (await proxied.call("POST"))[0] == 503
        assert [method for method, _ in proxied.seen] == ["POST"]


@PAIR
async def test_a_write_is_not_repeated_after_a_reset(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, retries=2, retry_codes=[503]) as proxied:
        for backend in proxied.backends:
            backend.mood = "reset"
        assert (await proxied.call("POST"))[0] == 503
        assert len(proxied.seen) == 1


@PAIR
async def test_a_write_is_not_repeated_when_it_has_no_answer_in_time(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2, attempt_timeout="100ms", retries=2, retry_codes=[503]) as proxied:
        for backend in proxied.backends:
            backend.mood = "hang"
        assert (await proxied.call("POST"))[0] == 504
        assert len(proxied.seen) == 1


@PAIR
async def test_the_time_of_a_whole_request_includes_its_repetitions(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, instances=2, timeout="350ms", attempt_timeout="200ms", retries=10) as proxied:
        for backend in proxied.backends:
            backend.mood = "hang"
        assert (await proxied.call())[0] == 504
        assert len(proxied.seen) == 2


async def test_an_instance_that_fails_in_a_row_is_left_alone(tmp_path: Path) -> None:
    async with running("envoy", tmp_path, retries=2, retry_codes=[503]) as proxied:
        proxied.backends[0].mood = "503"

        async def has_failed_in_a_row() -> bool:
            assert (await proxied.call())[0] == 200
            return len(proxied.backends[0].seen) == 5

        await until(has_failed_in_a_row)
        assert {status for status, _ in await proxied.calls(20)} == {200}
        assert len(proxied.backends[0].seen) == 5


async def test_half_of_the_instances_may_be_left_alone(tmp_path: Path) -> None:
    async with running("envoy", tmp_path) as proxied:
        for backend in proxied.backends[:3]:
            backend.mood = "503"

        async def has_spared_one() -> bool:
            await proxied.calls(8)
            return await counted(proxied, "ejections_overflow") > 0

        await until(has_spared_one)
        assert await counted(proxied, "ejections_active") == 2


async def test_requests_are_counted(tmp_path: Path) -> None:
    async with running("envoy", tmp_path) as proxied:
        await proxied.calls(3)
        told = await asyncio.to_thread(admin, proxied.entry.addresses[0][0], "/stats?filter=rq_total")
        assert "cluster.echo.upstream_rq_total: 3\n" in told
        assert "http.outbound.downstream_rq_total: 3\n" in told


async def test_the_server_of_a_pair_accepts_nobody_but_the_client(tmp_path: Path) -> None:
    async with running("envoy-mtls", tmp_path, instances=1) as proxied:
        assert (await proxied.call())[0] == 200
        server = server_of(proxied)
        identities = tmp_path / "identities"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(identities / "client" / "ca.crt")
        assert not await is_served(server, None), "a plain caller"
        assert not await is_served(server, context), "a caller without a certificate"
        context.load_cert_chain(identities / "echo" / "tls.crt", identities / "echo" / "tls.key")
        assert not await is_served(server, context), "a caller with another identity"
        context.load_cert_chain(identities / "client" / "tls.crt", identities / "client" / "tls.key")
        assert await is_served(server, context), "the client's identity"
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert not await is_served(server, context), "TLS 1.2"
        assert len(proxied.seen) == 2


async def test_the_client_of_a_pair_refuses_a_server_with_another_identity(tmp_path: Path) -> None:
    async with running("envoy-mtls", tmp_path, instances=1) as proxied:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        identity = tmp_path / "identities" / "client"
        context.load_cert_chain(identity / "tls.crt", identity / "tls.key")
        subject = proxied.subject
        assert isinstance(subject, Envoy)
        stranger = await proxied.add()
        served = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await reader.read(1):
                served.set()
            writer.close()

        address = (stranger.address[0], 15006)
        async with await asyncio.start_server(serve, *address, ssl=context):
            subject._servers[stranger.address] = address
            proxied.backends.remove(proxied.backends[0])
            await subject.update(proxied.origins)

            async def is_refused() -> bool:
                return (await proxied.call())[0] == 503

            await until(is_refused)
        assert not served.is_set()


async def test_neither_of_a_pair_limits_how_much_goes_on_at_once(tmp_path: Path) -> None:
    async with running("envoy-mtls", tmp_path, instances=1) as proxied:
        for host, cluster in ((proxied.entry.addresses[0][0], "echo"), (server_of(proxied)[0], "app")):
            told = await asyncio.to_thread(admin, host, "/clusters")
            for limit in ("connections", "pending_requests", "requests", "retries"):
                assert f"{cluster}::default_priority::max_{limit}::4294967295\n" in told


async def counted(proxied: Proxied, name: str) -> int:
    """What the first counts of instances that fail."""
    path = f"/stats?filter=^cluster.echo.outlier_detection.{name}$"
    return int((await asyncio.to_thread(admin, proxied.entry.addresses[0][0], path)).split()[-1])


def admin(host: str, path: str) -> str:
    """What its admin interface answers."""
    with contextlib.closing(http.client.HTTPConnection(host, 15000, timeout=5)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def server_of(proxied: Proxied) -> tuple[str, int]:
    assert isinstance(proxied.subject, Envoy)
    return proxied.subject._servers[proxied.backends[0].address]


async def is_served(address: tuple[str, int], context: ssl.SSLContext | None) -> bool:
    """Whether a request that is sent there is answered."""
    try:
        reader, writer = await asyncio.open_connection(*address, ssl=context)
    except OSError:
        return False
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: echo.load\r\nX-Request-Id: a\r\n\r\n")
        return (await reader.readline()).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
    finally:
        writer.transport.abort()
