"""A push side on a real socket with the real compiler behind it, and streams by hand."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from control.compile.compiler import Compiler
from control.index.index import Index
from control.model.decode import decode
from control.push.bounds import Bounds
from control.push.encode import text_frame
from control.push.hub import Hub
from control.push.server import PushServer
from meshproxy.wire.resources import SCHEMA
from meshproxy.wire.stream import PATH, Hello, Node

A = ("service/shop/a", "routes/shop/a:80", "backend/shop/a:80", "endpoints/shop/a:80")


class Plane:
    """Index, compiler, hub and server; `apply` changes objects and publishes what came of it."""

    def __init__(self, **bounds) -> None:
        self.index = Index()
        self.compiler = Compiler(self.index)
        self.registry = CollectorRegistry()
        self.skew_s = 0.0
        self.hub = Hub(
            self.compiler.find,
            self.index.services_of,
            self.registry,
            bounds=Bounds(**{"sweep_s": 0.01, "close_s": 0.05, **bounds}),
            clock=lambda: time.monotonic() + self.skew_s,
        )
        self.server = PushServer(self.hub)
        self.port = 0

    def apply(self, *documents) -> None:
        self.publish({name for item in documents for name in self.index.apply(decode(item))})

    def delete(self, document) -> None:
        item = decode(document)
        self.publish(self.index.delete(type(item), item.key))

    def publish(self, touched) -> None:
        self.hub.publish(self.compiler.refresh(touched), self.hub.clock())

    def versions(self, *names, namespace="shop"):
        return {name: entry.version for name in names if (entry := self.compiler.find(name, namespace))}

    def metric(self, name, **labels):
        return self.registry.get_sample_value(name, labels)

    def closed(self, reason):
        return self.metric("meshcontrol_streams_closed_total", reason=reason)


@asynccontextmanager
async def plane(*documents, **bounds):
    it = Plane(**bounds)
    it.apply(*documents)
    _, it.port = await it.server.start(("127.0.0.1", 0))
    try:
        yield it
    finally:
        await it.server.stop()


def has(subscriber, it, *names, namespace="shop"):
    return lambda: subscriber.holding.versions == it.versions(*names, namespace=namespace)


def hello(workload):
    return Hello(node=Node(namespace="shop", service_account="x", workload=workload, version="1"), schema=SCHEMA)


@asynccontextmanager
async def raw(port):
    """A stream by hand, to do with it what no client library would."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 24)
    try:
        writer.write(
            b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % PATH.encode()
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def masked(payload, opcode=0x1):
    """A client's frame, with a mask of zeros."""
    frame = text_frame(payload)
    head = len(frame) - len(payload)
    return bytes([0x80 | opcode, frame[1] | 0x80]) + frame[2:head] + bytes(4) + payload
