"""One connection, and at most one request on it at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from loadtest.client.answer import LONGEST_HEAD_BYTES, Head, ends_at_close
from loadtest.outcome import BAD_RESPONSE, CLOSED, RESET, TRUNCATED

if TYPE_CHECKING:
    from loadtest.client.call import Call
    from loadtest.client.plan import Address
    from loadtest.client.pool import Pool


class Connection(asyncio.Protocol):
    """Writes a request, reads its answer, and tells its pool what came of it.

    `call` is the request under way, None when it is idle; `_status` is 0 until its answer is complete. What refers to
    each other here is taken apart when the connection is lost, because the collector of garbage is off.
    """

    __slots__ = (
        "_has_extra",
        "_head",
        "_keeps_alive",
        "_parser",
        "_pool",
        "_received",
        "_status",
        "call",
        "transport",
    )

    def __init__(self, pool: Pool, call: Call) -> None:
        self._pool = pool
        self.call: Call | None = call
        self.transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._head: Head | None = None
        self._has_extra = False
        self._received = b""
        self._keeps_alive = False
        self._status = 0

    # What the pool asks for.

    @property
    def is_open(self) -> bool:
        """It can be used: no end of it is known, though the transport may have yet to tell."""
        return self.transport is not None and not self.transport.is_closing()

    async def dial(self, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        """Connects, and begins with the request that it was made for. OSError when it cannot."""
        await loop.create_connection(self._itself, *address)

    def _itself(self) -> Connection:
        return self

    def begin(self, call: Call) -> None:
        """Sends the request. The connection is open and idle."""
        self.call = call
        self._status = 0
        self._received = b""
        kind = call.kind
        # A parser of responses cannot be told that an answer has no body whatever its fields say.
        self._head = Head() if kind.is_head else None
        transport = self.transport
        assert transport is not None
        head = kind.prefix + b"%d" % call.number + kind.suffix
        if kind.body:
            transport.writelines((head, kind.body))
        else:
            transport.write(head)

    def close(self) -> None:
        """Ends it at once, whatever is under way; nothing more is told of the request."""
        self.call = None
        if self.transport is not None:
            self.transport.abort()
            self._forget()

    def _forget(self) -> None:
        self.transport = None
        self._parser = None
        if self._head is not None:
            self._head.drop()
        self._pool.on_lost(self)

    # What the parser tells.

    def on_message_begin(self) -> None:
        if self._status:
            self._has_extra = True

    def on_message_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status >= 200:  # 1xx is followed by the answer (RFC 9110 15.2)
            self._status = status
            self._keeps_alive = self._parser.should_keep_alive()  # of the next answer when this one has been left

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.call is None:
            transport.abort()  # type: ignore[attr-defined]  # given up while it was dialed
            return
        self.transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)
        self._pool.on_made(self)
        self.begin(self.call)

    def data_received(self, data: bytes) -> None:
        if self.call is None:
            # Nothing was asked: such an answer belongs to no request, and the next one's could not be told from it.
            self.close()
            return
        if self._head is not None:
            self._on_head(self._head, data)
            return
        parser = self._parser
        assert parser is not None
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._status:
                self._pool.on_broken(self, BAD_RESPONSE)
                return
            self._has_extra = True
        if self._status:
            self._on_answered(self._status, self._keeps_alive)
        elif len(self._received) < LONGEST_HEAD_BYTES:
            self._received += data  # for the question whether the connection's end completes it

    def _on_head(self, head: Head, data: bytes) -> None:
        """Some of the answer to HEAD, which ends with its head."""
        self._received = self._received[-3:] + data
        try:
            head.feed(data)
        except (HttpParserError, HttpParserUpgrade):
            self._pool.on_broken(self, BAD_RESPONSE)
            return
        if head.status:
            self._has_extra = not self._received.endswith(b"\r\n\r\n")
            self._on_answered(head.status, head.keeps_alive)

    def _on_answered(self, status: int, keeps_alive: bool) -> None:
        assert self.call is not None
        kind = self.call.kind
        can_go_on = keeps_alive and not self._has_extra and not kind.is_single
        if can_go_on and kind.body:
            # Answered before all of it was written: what is left would come before the next request.
            assert self.transport is not None
            can_go_on = not self.transport.get_write_buffer_size()
        self._pool.on_answered(self, status, can_go_on)

    def eof_received(self) -> None:
        if self.transport is not None:
            self.transport.abort()  # by itself it would first write what is left of the request

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is None:
            return
        self._forget()
        if self.call is None:
            return
        if exc is not None:
            self._pool.on_broken(self, RESET)
        elif not self._received:
            self._pool.on_broken(self, CLOSED)
        elif self._head is None and (status := ends_at_close(self._received)):
            self._pool.on_answered(self, status, False)
        else:
            self._pool.on_broken(self, TRUNCATED)
