"""What strangers choose (hosts, names, sizes) fills no memory and makes no metrics."""

from __future__ import annotations

import asyncio

from meshproxy.metrics.exposition import expose
from meshproxy.proxy import stack
from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import answering, ok, serving
from tests.fakes.sidecar import Sidecar, running
from tests.fakes.snapshots import service


def exposed(sidecar: Sidecar) -> int:
    return sum(map(len, expose(sidecar.registry)))


async def ask_all(sidecar: Sidecar, requests: list[bytes]) -> None:
    """Send them ahead on one connection, and take the answers."""
    async with connected(sidecar.address) as client:
        sending = asyncio.create_task(client.send(b"".join(requests)))
        seen, tail = 0, b""
        while seen < len(requests):
            data = tail + await client.read()
            seen += data.count(b"HTTP/1.1 ")
            tail = data[-8:]
        await sending


@on_uvloop
async def test_ten_thousand_hosts_are_not_remembered_for_ever() -> None:
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        for kind in ("svc-{}", "svc-{}.ns-{}", "host-{}.example.org", "10.0.0.{}", "bad..{}", "echo:{}"):
            await ask_all(sidecar, [request("GET", "/", kind.format(n, n)) for n in range(1, 5_000)])
            assert len(sidecar.stack.destinations) <= stack.MAX_DESTINATIONS
        assert exposed(sidecar) < 20_000, "a host must not make a metric"
        async with connected(sidecar.address) as client:
            assert (await client.get()).status == 200


@on_uvloop
async def test_long_hosts_are_not_remembered_at_all() -> None:
    async with running() as sidecar:
        await ask_all(sidecar, [request("GET", "/", f"{n}{'x' * 20_000}") for n in range(500)])
        assert sum(map(len, sidecar.stack.destinations)) < 100_000


@on_uvloop
async def test_what_the_parsers_remember_is_bounded() -> None:
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        await ask_all(sidecar, [request(f"M{n}", f"/{n}", "nobody", f"x-{n}: {n}") for n in range(5_000)])
        grammar = sidecar.stack.requests
        assert len(grammar.lines) <= 2_048
        assert len(grammar.fields._lines) <= 2_048
        assert exposed(sidecar) < 20_000


@on_uvloop
async def test_statuses_of_an_endpoint_make_a_bounded_number_of_series() -> None:
    codes = iter(range(200, 1000))

    async def any_status(connection):
        while await connection.request():
            await connection.send(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % next(codes))

    async with serving(any_status) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            for _ in range(700):
                await client.send(request("HEAD"))
                await client.response("HEAD")
        text = b"".join(expose(sidecar.registry)).decode()
        assert text.count("meshproxy_requests_total{") <= 256 + 64 + 1
