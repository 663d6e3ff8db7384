"""What sidecars may not do, over real sockets."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec
import pytest

from meshproxy.wire.resources import SCHEMA, Endpoint, Endpoints
from meshproxy.wire.snapshot import entry_of
from meshproxy.wire.stream import PATH, Ack, Hello, Node, Subscribe, encode
from tests.control.build import service
from tests.control.push.plane import A, has, masked, plane, raw
from tests.fakes.loop import on_uvloop, until
from tests.fakes.subscriber import Subscriber


@on_uvloop
async def test_what_goes_wrong_is_logged_on_one_printable_line(caplog):
    async with plane() as it:
        for _ in range(2):
            async with raw(it.port) as (reader, writer):
                writer.write(masked(HELLO) + masked(b'{"type":"evil\\n\\u001b[2J"}'))
                while await reader.read(65_536):
                    pass  # to its end, which the other side makes
    [record] = [record for record in caplog.records if record.name == "control.push.hub"]
    assert record.getMessage().startswith("sidecar shop/y: stream closed (protocol): not understood")
    assert record.getMessage().isprintable()


HELLO = encode(Hello(node=Node(namespace="shop", service_account="x", workload="y", version="1"), schema=SCHEMA))
HOSTILE = {
    "no hello": [b'{"type":"subscribe","names":[]}'],
    "two hellos": [HELLO, HELLO],
    "another schema": [HELLO.replace(b'"schema":1', b'"schema":2')],
    "no namespace": [HELLO.replace(b'"shop"', b'"../.."')],
    "no workload": [HELLO.replace(b'"y"', b'"y\\n"')],
    "odd version": [HELLO.replace(b'"version":"1"', b'"version":"\\u001b[2J"')],
    "garbage": [b"no json"],
    "deep": [b"[" * 200_000],
    "deep within": [b'{"type":"hello","x":' + b"[" * 200_000],
    "an unknown type": [HELLO, b'{"type":"surprise"}'],
    "an ack of nothing": [HELLO, b'{"type":"ack","nonce":"7"}'],
    "a nack of nothing": [HELLO, b'{"type":"nack","nonce":"7","problems":[]}'],
    "an answer to nothing": [HELLO, b'{"type":"answer","id":1}'],
    "a long name": [HELLO, encode(Subscribe(names=["service/shop/" + "x" * 500]))],
    "broken UTF-8": [b'"\xff"'],
}
EXCESS = {
    "many names": [HELLO, encode(Subscribe(names=[f"service/a/b{n}" for n in range(30_000)]))],
    "many odd names": [HELLO, encode(Subscribe(names=[f"odd{n}" for n in range(30_000)]))],
    "many namespaces": [HELLO, encode(Subscribe(names=[f"service/a{n}/*" for n in range(30_000)]))],
    "many known": [HELLO[:-1] + b',"known":' + msgspec.json.encode({f"k{n}": "v" for n in range(30_000)}) + b"}"],
    "too large": [HELLO, b'{"type":"subscribe","names":["' + b"x" * 1_100_000 + b'"]}'],
    "a hundred thousand names": [HELLO, encode(Subscribe(names=[f"service/a/b{n}" for n in range(100_000)]))],
}  # fmt: skip


@pytest.mark.parametrize("what", [*HOSTILE, *EXCESS])
@on_uvloop
async def test_what_breaks_the_rules_ends_its_stream(what):
    async with plane(service("a")) as it, Subscriber(it.port) as good, raw(it.port) as (reader, writer):
        await good.connect(*A)
        for message in (HOSTILE | EXCESS)[what]:
            writer.write(masked(message))
        reason = "protocol" if what in HOSTILE else "overflow"
        await until(lambda: it.closed(reason) == 1)
        frames = await reader.read()
        assert b"\x88" in frames, "it is told why"
        await until(has(good, it, *A))
        await until(lambda: it.metric("meshcontrol_streams") == 1)
        await until(lambda: it.metric("meshcontrol_subscriptions") == len(A))


@pytest.mark.parametrize(("opcode", "size", "reason"), [(0x2, 10, "protocol"), (0x1, 5_000_000, "overflow")])
@on_uvloop
async def test_binary_and_huge_messages_end_the_stream(opcode, size, reason):
    async with plane() as it, raw(it.port) as (_, writer):
        writer.write(masked(HELLO))
        writer.write(masked(b"x" * size, opcode))
        await until(lambda: it.closed(reason) == 1)


@pytest.mark.parametrize("before", [b"", masked(HELLO)], ids=["before its hello", "afterwards"])
@on_uvloop
async def test_what_is_too_large_unless_it_was_asked_for_is_refused_before_it_has_come(before):
    """Otherwise whoever connects could have four megabytes kept for each of its streams."""
    async with plane() as it, raw(it.port) as (reader, writer):
        head = masked(b"x" * 1_100_000)[:14]
        writer.write(before + head)
        await until(lambda: it.closed("overflow") == 1)
        assert b"a message of more than 1048576 bytes" in await reader.read()


@on_uvloop
async def test_a_flood_of_messages_leaves_room_for_others():
    async with plane(service("a")) as it, Subscriber(it.port) as one, raw(it.port) as (_, writer):
        flood = masked(b'{"type":"unsubscribe","names":[]}') * 20_000 + masked(b"", 0x9) * 20_000
        writer.write(masked(HELLO) + flood)
        await one.connect(*A)
        await until(has(one, it, *A))


@on_uvloop
async def test_who_acknowledges_what_it_has_not_read_is_closed():
    """Otherwise every such Ack would let more be written to it."""
    name = "endpoints/shop/a:80"
    async with plane() as it, raw(it.port) as (_, writer):
        writer.transport.pause_reading()
        writer.write(masked(HELLO) + masked(encode(Subscribe(names=[name]))))
        await until(lambda: it.metric("meshcontrol_subscriptions") == 1)
        [session] = it.hub._sessions
        for turn in range(50):
            labels = {"turn": str(turn), "x": "y" * 1_000_000}
            it.compiler.entries[name] = entry_of(
                name, Endpoints(endpoints=[Endpoint(address="::1", port=1, labels=labels)])
            )
            it.hub.publish([name], it.hub.clock())
            await until(lambda: session.flights)
            sent = set(session.flights)
            for nonce in sent:
                writer.write(masked(encode(Ack(nonce=nonce))))
            await until(lambda sent=sent: not sent & set(session.flights) or it.closed("protocol"))
            if it.closed("protocol"):
                break
        assert it.closed("protocol") == 1
        await until(lambda: it.metric("meshcontrol_streams") == 0)


@on_uvloop
async def test_connections_are_bounded_also_before_they_ask_for_a_stream():
    async with plane(streams=1, visitors=2) as it, Subscriber(it.port) as one:
        opened = [await asyncio.open_connection("127.0.0.1", it.port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        assert await reader.read() == b""
        for _, other in [*opened, (reader, writer)]:
            other.close()
        # Their places are free again.
        await until(lambda: it.server._listener.connections == 0)
        await one.connect()
        await until(it.hub.proxies)


@on_uvloop
async def test_pages_of_other_origins_get_no_stream():
    async with plane() as it, aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(f"http://127.0.0.1:{it.port}{PATH}", origin="http://evil.example")
        assert refused.value.status == 403
        async with client.get(f"http://127.0.0.1:{it.port}{PATH}") as response:
            assert response.status == 400
    assert it.metric("meshcontrol_streams") == 0


@on_uvloop
async def test_a_stream_without_hello_is_closed():
    async with plane(hello_s=0.05) as it, Subscriber(it.port) as one:
        await one.connect(hello=False)
        await until(lambda: one.closed is not None)
        assert one.closed == (1008, "no hello within 0.05 s")
