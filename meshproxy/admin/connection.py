"""One connection to the admin server: requests in turn, each answered in slices, one per turn of the loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Protocol, cast

from meshproxy.admin.desk import Desk
from meshproxy.admin.response import Later, Response, sentence
from meshproxy.http1.chunked import LAST_CHUNK, encode_chunk
from meshproxy.http1.error import ProtocolError
from meshproxy.http1.request import RequestGrammar, RequestParser
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.policy.message import Field, RequestHead, value_of

REQUEST_S = 10.0
"""For a whole request, from its first byte (of the first one: from the connection) to its end."""
IDLE_S = 90.0
"""Between requests: longer than a scrape interval, so that Prometheus keeps its connection."""
STALL_S = 30.0
"""A client that takes nothing of its answer for so long is cut off."""
LINGER_S = 1.0
"""After a refusal: what is still on its way is read and dropped, or a reset would overtake the answer."""
BODY_BYTES = 65_536
"""Request bodies are of no use here; a longer one is refused."""
READ_BYTES = 65_536
"""Pipelined input that waits; more is not read."""
WRITE_BYTES = 65_536

_log = logging.getLogger(__name__)


class Owner(Protocol):
    """Who holds the connections."""

    desk: Desk
    grammar: RequestGrammar
    tasks: Tasks

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more."""

    def discard(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Reads one request at a time; the next one waits until the answer is written."""

    __slots__ = (
        "_body", "_body_bytes", "_has_eof", "_head", "_is_chunked", "_is_last", "_is_lingering",
        "_is_paused", "_is_waiting", "_is_writable", "_loop", "_owner", "_parser", "_timer", "_transport",
        "is_busy",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner) -> None:
        # Of the connection.
        self._loop = loop
        self._owner = owner
        self._parser = RequestParser(owner.grammar, self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_writable = True
        self._is_paused = False  # reading
        self._is_lingering = False
        self._has_eof = False
        self._is_last = False  # closed after the answer in progress
        # Of the request.
        self._head: RequestHead | None = None
        self._body_bytes = 0
        self.is_busy = False  # from the request's end to its answer's
        # Of the answer.
        self._body: Iterator[bytes] | None = None
        self._is_chunked = False
        self._is_waiting = False  # for the body's beginning

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, so this cannot be asserted.
        transport = self._transport = cast("asyncio.Transport", transport)
        if not self._owner.admit(self):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=WRITE_BYTES)
        self._arm(REQUEST_S)

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            return
        if self._parser.is_idle and not self.is_busy:
            self._arm(REQUEST_S)
        self._feed(data)

    def eof_received(self) -> bool:
        self._has_eof = True
        return self.is_busy  # a client may close its half and still wait for the answer

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the transport's signature
        self._disarm()
        self._transport = None
        self._body = None
        self._parser.kill()
        self._owner.discard(self)

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        if self.is_busy:
            self._loop.call_soon(self._on_turn)

    def close(self) -> None:
        """Close now if idle, else after the answer in progress."""
        self._is_last = True
        if not self.is_busy and self._transport is not None:
            self._end(self._transport)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def on_request(self, head: RequestHead, data: bytes, is_end: bool) -> None:
        self._head = head
        self._body_bytes = len(data)
        if is_end:
            self._answer(head)
        elif max(head.length, self._body_bytes) > BODY_BYTES:
            self._refuse(413, "no request here needs a body so large")
        elif head.expect_continue and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_request_data(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > BODY_BYTES and not self._is_lingering:
            self._refuse(413, "no request here needs a body so large")

    def on_request_end(self, data: bytes, trailers: list[Field]) -> None:  # noqa: ARG002 - the parser's signature
        self.on_request_data(data)
        if self._head is not None and not self._is_lingering:
            self._answer(self._head)

    def _feed(self, data: bytes) -> None:
        parser = self._parser
        try:
            parser.feed(data)
        except ProtocolError as error:
            self._refuse(431 if error.is_oversized else 400, error.rule)
            return
        if self._transport is not None and not self._is_paused and parser.buffered_bytes > READ_BYTES:
            self._is_paused = True
            self._transport.pause_reading()

    def _answer(self, head: RequestHead) -> None:
        line = head.line
        if not head.keep_alive:
            self._is_last = True
        try:
            response = self._owner.desk.handle(
                line.method, line.path, line.query, head.authority, value_of(head.fields, b"origin")
            )
        except Exception:  # noqa: BLE001 - a defect of one page is that page's
            _log.exception("the admin server failed to answer %s", line.path.decode("latin-1"))
            response = sentence(500, "a defect in the sidecar; its log has the traceback")
            self._is_last = True
        self._begin(response, is_head=line.method == b"HEAD", minor=line.minor)

    def _refuse(self, status: int, text: str) -> None:
        """Answer and close, whatever of the request is still to come."""
        self._parser.kill()
        self._is_last = True
        self._is_lingering = True
        self._begin(sentence(status, text), is_head=False, minor=1)

    def _begin(self, response: Response, *, is_head: bool, minor: int) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self.is_busy = True
        body = response.body
        if isinstance(body, bytes):
            framing = b"content-length: %d\r\n" % len(body)
            self._is_chunked = False
            self._body = iter((body,))
        else:
            self._is_chunked = minor == 1
            self._is_last = self._is_last or not self._is_chunked  # HTTP/1.0: the body ends with the connection
            framing = b"transfer-encoding: chunked\r\n" if self._is_chunked else b""
            self._body = None if callable(body) else body
        if is_head:
            self._body = None
        self._arm(STALL_S)
        transport.write(_head_bytes(response, framing, keep_alive=not self._is_last, minor=minor))
        if callable(body) and not is_head:
            self._is_waiting = True
            self._owner.tasks.start(self._wait(body))
        else:
            self._loop.call_soon(self._on_turn)

    async def _wait(self, later: Later) -> None:
        try:
            self._body = await later()
        except Exception:  # noqa: BLE001 - as with a page that is made at once
            _log.exception("the admin server's answer broke off")
            self.abort()
            return
        self._is_waiting = False
        self._on_turn()

    def _on_turn(self) -> None:
        """Write one slice, or end the answer."""
        transport = self._transport
        if transport is None or transport.is_closing() or not self.is_busy or not self._is_writable or self._is_waiting:
            return
        if self._body is None:
            self._finish(transport)
            return
        try:
            piece = next(self._body, None)
        except Exception:  # noqa: BLE001 - as above; the status is sent already
            _log.exception("the admin server's answer broke off")
            transport.abort()
            return
        if piece is None:
            self._body = None
            if self._is_chunked:
                transport.write(LAST_CHUNK)
        elif piece:
            self._arm(STALL_S)
            if self._is_chunked:
                transport.writelines(encode_chunk(piece))
            else:
                transport.write(piece)
        # Paused: resume_writing goes on.
        if self._is_writable:
            self._loop.call_soon(self._on_turn)

    def _finish(self, transport: asyncio.Transport) -> None:
        self.is_busy = False
        self._head = None
        self._is_chunked = False
        if self._is_lingering and not self._has_eof:
            transport.write_eof()
            self._arm(LINGER_S)
            return
        parser = self._parser
        if self._is_last or (self._has_eof and not parser.buffered_bytes):
            self._end(transport)
            return
        self._arm(REQUEST_S if parser.buffered_bytes else IDLE_S)
        parser.resume()
        self._feed(b"")
        if self._is_paused and parser.buffered_bytes <= READ_BYTES:
            self._is_paused = False
            transport.resume_reading()
        if self._has_eof and not self.is_busy:
            self._end(transport)

    def _end(self, transport: asyncio.Transport) -> None:
        """Close once all is written, or once the client has taken nothing for too long."""
        self._arm(STALL_S)
        transport.close()

    def _arm(self, delay_s: float) -> None:
        self._disarm()
        self._timer = self._loop.call_later(delay_s, self._on_timeout)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        self._timer = None
        transport = self._transport
        if transport is None:
            return
        if self.is_busy or self._is_lingering or self._parser.is_idle or transport.is_closing():
            transport.abort()
        else:
            self._refuse(408, "the request did not come to its end in time")


def _head_bytes(response: Response, framing: bytes, *, keep_alive: bool, minor: int) -> bytes:
    status = response.status
    now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())]
    lines += [b"%b: %b\r\n" % header for header in response.headers]
    lines.append(b"date: %b\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n" % now.encode())
    lines.append(framing)
    if not keep_alive:
        lines.append(b"connection: close\r\n")
    elif minor == 0:
        lines.append(b"connection: keep-alive\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)
