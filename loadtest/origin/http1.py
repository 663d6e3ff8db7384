"""HTTP/1 connections of an instance (RFC 9112): requests in, answers out, in order. No task and no await.

The parser is httptools, in its strict mode: what is no HTTP is answered 400 and closed. It tells of nothing before a
field is complete, so what is fed meanwhile is counted here. Nothing is closed for being slow or idle: only a scenario's
faults do that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from time import monotonic
from typing import Protocol, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from loadtest.origin import packets
from loadtest.origin.clock import Clock
from loadtest.origin.heads import BODILESS, ENDS, STAYS, STAYS_AS_ASKED, Heads
from loadtest.origin.instance import Instance
from loadtest.origin.request import Request

HEAD_BYTES = 64 * 1024
"""Of a head, a trailer, or a chunk's extension; what one read brings (256 KiB) may come on top."""
FIELD_BYTES = 32
"""Every field costs so much beside its bytes, so that their number is bounded as well (as in RFC 9113 6.5.2)."""
PIPELINED = 64
"""So many requests may wait behind the one in work before reading stops."""
_COPY_BYTES = 16 * 1024

_VERSIONS = frozenset({"1.1", "1.0"})

_CLOSE = object()
_RESET = object()


class _RefusedError(Exception):
    """Raised within the parser, to end it."""


class Home(Protocol):
    """Where a connection belongs."""

    instance: Instance
    heads: Heads
    clock: Clock
    is_retiring: bool
    """Answers say that the connection ends."""

    def on_open(self, connection: Connection) -> None: ...
    def on_lost(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """One connection; a Caller (request.py)."""

    __slots__ = (
        "_arriving", "_current", "_error", "_expects", "_held", "_home", "_id", "_idle_armed", "_idle_end", "_instance",
        "_is_deaf", "_is_full", "_is_open", "_is_paused", "_is_receiving", "_is_turning", "_number", "_parser",
        "_pending", "_size", "_transport", "_waiting",
    )  # fmt: skip

    def __init__(self, home: Home) -> None:
        self._home = home
        self._instance = home.instance
        self._held: list[object] | None = None
        """What waits for the network to come back; None when it is there."""
        self._is_open = True
        self._is_deaf = False
        """Nothing more is read from it: what came last ends it."""
        self._is_full = False
        self._is_paused = False
        self._is_turning = False
        self._idle_end = inf
        """When it ends if nothing more is asked."""
        self._idle_armed = inf
        self._number = 0
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._error = 0
        # Of the request that is being received:
        self._is_receiving = False
        self._arriving: Request | None = None
        self._id = b""
        self._expects = False
        self._size = 0
        self._pending = 0

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpRequestParser(self)
        self._home.on_open(self)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._pending += len(data)
        rest = self._feed(data)
        while rest:
            rest = self._feed(rest)
        if self._is_receiving and self._pending > HEAD_BYTES:
            self._error, self._is_deaf = self._error or 431, True
        self._turn()

    def eof_received(self) -> bool:
        if self._held is None:
            self._forget()
            return False
        self.close()
        return True

    def connection_lost(self, _: Exception | None) -> None:
        self._forget()
        self._home.on_lost(self)
        del self._parser  # it refers to this object

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._turn()

    # What the parser tells.

    def on_message_begin(self) -> None:
        self._is_receiving = True
        self._arriving = None
        self._id = b""
        self._expects = False
        self._size = 0
        self._pending = 0
        self._idle_end = inf

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value) + FIELD_BYTES
        if self._size > HEAD_BYTES:
            self._error = 431
            raise _RefusedError
        length = len(name)
        if length == 12 and not self._id and name.lower() == b"x-request-id" and self._arriving is None:
            self._id = value
        elif length == 6 and name.lower() == b"expect":
            self._expects = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        if self._is_deaf:  # behind a request that is the connection's last
            return
        self._size = 0  # of the trailer, from here on
        parser = self._parser
        method = parser.get_method()
        version = parser.get_http_version()
        if method == b"CONNECT" or version not in _VERSIONS:
            raise _RefusedError
        mark = ENDS
        if parser.should_keep_alive():
            mark = STAYS if version == "1.1" else STAYS_AS_ASKED
        self._number += 1
        self._arriving = request = Request(self, self._number, self._id, method != b"HEAD", mark)
        self._instance.receive(request)
        if self._expects:
            self._expects = version == "1.1"
            self._go_on()

    def on_body(self, _: bytes) -> None:
        self._pending = 0
        self._expects = False

    def on_message_complete(self) -> None:
        self._is_receiving = False
        self._expects = False
        request, self._arriving = self._arriving, None
        if request is not None:
            self._waiting.append(request)
            self._is_deaf = request.mark == ENDS

    # What an instance does (request.Caller).

    def waits_for(self, request: Request) -> bool:
        return request is self._current

    def answer(self, request: Request, status: int, body: bytes) -> None:
        if request is not self._current:
            return
        head = self._head(request, status, len(body))
        if not request.has_body or status in BODILESS:
            self._write(head)
        elif len(body) <= _COPY_BYTES:
            self._write(head + body)
        else:
            self._write(head)
            self._write(body)
        self._finish(request)

    def begin(self, request: Request, status: int, body: bytes) -> None:
        if request is self._current:
            self._write(self._head(request, status, len(body)))

    def send(self, request: Request, piece: memoryview, is_last: bool) -> None:
        if request is self._current:
            self._write(piece)
            if is_last:
                self._finish(request)

    def truncate(self, request: Request, status: int, body: bytes) -> None:
        if request is not self._current:
            return
        head = self._head(request, status, len(body))
        if body and request.has_body:
            self._write(head)
            self._write(memoryview(body)[: len(body) // 2])
        else:
            self._write(head[: len(head) // 2])
        self.close()

    def close(self) -> None:
        if self._is_open:
            self._forget()
            if self._held is None:
                self._transport.close()
            else:
                self._held.append(_CLOSE)

    def reset(self) -> None:
        """Also when it is closing already; what waits for a slow reader, or for the network, is lost."""
        self._forget()
        if self._held is None:
            self._abort()
        else:
            self._held = [_RESET]

    def close_idle(self, after_s: float) -> None:
        if not (self._is_open and self.is_idle):
            return
        if after_s > 0:
            self._idle_end = monotonic() + after_s
            self._arm_idle()
        else:
            self.close()

    # What its home does.

    @property
    def is_idle(self) -> bool:
        return self._current is None and not self._waiting and not self._is_receiving

    def retire(self) -> None:
        """Ends with the next answer, or now when it is idle; what was asked behind that answer gets none."""
        if self.is_idle:
            self.close()

    def darken(self) -> None:
        """From now on nothing of it reaches the other side, and nothing of that reaches it."""
        if self._held is None:
            packets.drop(self._fd)
            self._held = []

    def heal(self) -> None:
        """The network is back: what waited leaves."""
        held, self._held = self._held, None
        if held is None:
            return
        packets.admit(self._fd)
        for each in held:
            if each is _CLOSE:
                self._transport.close()
            elif each is _RESET:
                self._abort()
            else:
                assert isinstance(each, bytes | memoryview)
                self._write(each)

    # Inside.

    @property
    def _fd(self) -> int:
        fd: int = self._transport.get_extra_info("socket").fileno()
        return fd

    def _abort(self) -> None:
        packets.reset_on_close(self._fd)
        self._transport.abort()

    def _forget(self) -> None:
        """Nothing is answered on it any more."""
        self._is_open = False
        self._is_deaf = True
        self._waiting.clear()
        self._error = 0
        current, self._current = self._current, None
        if current is not None:
            self._instance.leave(current)

    def _write(self, data: bytes | memoryview) -> None:
        if self._held is not None:
            self._held.append(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def _head(self, request: Request, status: int, size: int) -> bytes:
        if self._home.is_retiring:
            request.mark = ENDS
        head = self._home.heads.get(status, request.mark, size)
        return head + b"x-request-id: " + request.id + b"\r\n\r\n" if request.id else head + b"\r\n"

    def _finish(self, request: Request) -> None:
        self._current = None
        if request.mark == ENDS or self._home.is_retiring:
            self.close()
        elif not self._is_turning:
            self._turn()

    def _turn(self) -> None:
        """Hands the requests that wait to the instance, one after the other, as far as they are answered at once."""
        waiting = self._waiting
        self._is_turning = True
        while waiting and self._current is None and not self._is_full:
            self._current = request = waiting.popleft()
            self._instance.handle(request)
        self._is_turning = False
        if self._expects:
            self._go_on()
        if (len(waiting) > PIPELINED) is not self._is_paused and self._is_open and not self._transport.is_closing():
            self._is_paused = not self._is_paused
            (self._transport.pause_reading if self._is_paused else self._transport.resume_reading)()
        if self._error and self._current is None and not waiting and self._is_open:
            self._write(self._home.heads.get(self._error, ENDS, 0) + b"\r\n")
            self.close()

    def _go_on(self) -> None:
        """Asks for the body that is waited for, when it is the turn of its request (RFC 9110 10.1.1)."""
        if self._expects and not (self._is_deaf or self._current or self._waiting or self._arriving is None):
            self._expects = False
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _feed(self, data: bytes | memoryview) -> memoryview | None:
        """What is left behind a request with an Upgrade: that is answered as one without (RFC 9110 7.8)."""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._parser = HttpRequestParser(self)
            return memoryview(data)[upgrade.args[0] :]
        except HttpParserError as error:
            if isinstance(error, HttpParserCallbackError) and not isinstance(error.__context__, _RefusedError):
                raise (error.__context__ or error) from None
            if not self._is_deaf:
                self._error = self._error or 400
                self._is_deaf = True
        return None

    def _arm_idle(self) -> None:
        if self._idle_end < self._idle_armed:
            self._idle_armed = self._idle_end
            self._home.clock.at(self._idle_end, Connection._on_idle_due, self)

    def _on_idle_due(self) -> None:
        self._idle_armed = inf
        if self._idle_end <= monotonic():
            self.close()
        elif self._idle_end < inf:
            self._arm_idle()
