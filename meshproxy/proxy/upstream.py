"""One HTTP/1.1 connection to an endpoint: carries one exchange's attempt at a time, and rests in its pool between.

How an attempt was lost it says in `policy/retry.py`'s words, which tell whether the request can have been processed.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
from time import monotonic
from typing import TYPE_CHECKING, cast

from meshproxy.faults import BAD_RESPONSE, RESPONSE_HEAD_TOO_LARGE, RESPONSE_INCOMPLETE, UPSTREAM_RESET, Fault
from meshproxy.http1.chunked import encode_chunk, encode_end
from meshproxy.http1.error import ProtocolError
from meshproxy.http1.response import ResponseParser
from meshproxy.kit.wheel import Timer
from meshproxy.policy.message import CHUNKED, NO_BODY, Field
from meshproxy.policy.retry import IDEMPOTENT, Ending

if TYPE_CHECKING:
    from meshproxy.metrics.slots import ConnectionSlot
    from meshproxy.proxy.exchange import Exchange
    from meshproxy.proxy.pool import Pool

_BYTES_ACKED = struct.Struct("<Q")
_BYTES_ACKED_AT = 120  # tcpi_bytes_acked in struct tcp_info (linux/tcp.h)
_TCP_INFO_BYTES = 128

_READ_BYTES = 262_144

_CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
_UPGRADE = b"connection: upgrade\r\nupgrade: websocket\r\n\r\n"


class Upstream(asyncio.Protocol):
    """A connection of a pool. `exchange` is whom it serves, None while it is idle."""

    __slots__ = (
        "_acked_before", "_is_chunked", "_is_tunnel", "_poll", "exchange", "is_closed", "is_reading", "is_tls",
        "parser", "pool", "retire_at", "served", "slot", "timer", "transport",
    )  # fmt: skip

    def __init__(self, pool: Pool, retire_at: float) -> None:
        self.pool = pool
        self.retire_at = retire_at
        self.parser = ResponseParser(pool.backend.stack.responses, cast("Exchange", None))
        self.exchange: Exchange | None = None
        self.timer = Timer(self._on_timer)
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.slot: ConnectionSlot = cast("ConnectionSlot", None)
        self.served = 0  # attempts begun on this connection
        self.is_closed = False
        self.is_reading = True
        self.is_tls = False
        self._is_chunked = False
        self._is_tunnel = False
        self._acked_before = -1

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "idle" if self.exchange is None else "busy"
        return (
            f"<Upstream {self.pool.endpoint.spec.address}:{self.pool.endpoint.spec.port} {state} served={self.served}>"
        )

    # The attempt's side: what an exchange asks for.

    def begin(self, exchange: Exchange) -> None:
        """Write the exchange's request head and what of its body has come; from here on its callbacks follow."""
        head = exchange.head
        self.exchange = exchange
        parser = self.parser
        parser.sink = exchange
        method = head.line.method
        parser.expect(method, head.upgrade)
        self.served += 1
        if self.served > 1 and method not in IDEMPOTENT:
            self._acked_before = self._bytes_acked()
        else:
            self._acked_before = -1
        body = exchange.replay
        if head.length == NO_BODY and not head.upgrade:
            self._is_chunked = False
            self.transport.write(b"".join((exchange.request_line, head.block, exchange.added, b"\r\n")))
            return
        self._is_chunked = head.length == CHUNKED
        ending = _CHUNKED if self._is_chunked else _UPGRADE if head.upgrade else b"\r\n"
        out = [exchange.request_line, head.block, exchange.added, ending]
        if body:
            exchange.on_body_sent()
            for piece in body:
                out.extend(encode_chunk(piece) if self._is_chunked else (piece,))
        if self._is_chunked and exchange.is_request_complete:
            out.append(encode_end(exchange.trailers))
        self.transport.writelines(out)

    def send_data(self, data: bytes) -> None:
        """Send a piece of the request's body, or of a tunnel."""
        if self.is_closed or not data:
            return
        if self._is_chunked:
            self.transport.writelines(encode_chunk(data))
        else:
            self.transport.write(data)

    def send_end(self, trailers: list[Field]) -> None:
        """End the request's body."""
        if self._is_chunked and not self.is_closed:
            self.transport.write(encode_end(trailers))

    @property
    def has_unsent(self) -> bool:
        """Whether the endpoint has not yet taken all that was written."""
        return self.transport.get_write_buffer_size() > 0

    def send_eof(self) -> bool:
        """Half-close a tunnel; whether that could be done: there is no half-close over TLS here."""
        if self.is_closed or not self.transport.can_write_eof():
            return False
        self.transport.write_eof()
        return True

    def is_quiet(self) -> bool:
        """Whether the connection is open with nothing to read, so that the next response is the next request's.

        Asked of the kernel (0.7 us): what came since the loop looked, the loop does not know yet.
        """
        return not self.is_closed and (not self.served or not self._poll.poll(0))

    def release(self, now: float) -> None:
        """End of the attempt with both messages complete: back into the pool, if the connection may be used again."""
        self.exchange = None
        if self.is_closed:
            return
        if not self.is_reading:
            self.resume_reading()
        if self.parser.is_reusable and now < self.retire_at:
            self.pool.give_back(self, now)
        else:
            self.close()

    def abandon(self) -> None:
        """End of the attempt with something left unsaid: the connection cannot be used again."""
        self.exchange = None
        self.parser.kill()
        if not self.is_closed:
            self._leave_pool()
            self.transport.abort()

    def discard(self) -> None:
        """Close a connection that may have been made in the very turn in which nobody waited for it any more."""
        if self.slot is not None:
            self.abandon()
            if not self.is_tls:
                self.connection_lost(None)  # uvloop closes a plain one without it

    def close(self) -> None:
        """Close an idle connection, or one whose messages are complete."""
        self.exchange = None  # over TLS the other side's end is still told after ours
        if not self.is_closed:
            self._leave_pool()
            self.transport.close()

    def _leave_pool(self) -> None:
        """It no longer counts against the backend's bound, though its end takes another turn of the loop."""
        self.is_closed = True
        self.timer.close()
        self.pool.on_left(self)

    def pause_reading(self) -> None:
        if self.is_reading and not self.is_closed:
            self.is_reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.is_reading and not self.is_closed:
            self.is_reading = True
            self.transport.resume_reading()

    def become_tunnel(self) -> None:
        self._is_chunked = False
        self._is_tunnel = True

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.is_tls = transport.get_extra_info("ssl_object") is not None
        self.pool.open += 1
        self.slot = self.pool.backend.stack.upstream_slots[self.is_tls]
        self.slot.opened += 1
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.close()  # idle: whatever it is, nobody asked for it
            return
        exchange.now = monotonic()
        try:
            self.parser.feed(data)
        except ProtocolError as error:
            self._fail(RESPONSE_HEAD_TOO_LARGE if error.is_oversized else BAD_RESPONSE, error.rule)
        except Exception as defect:  # noqa: BLE001 - a defect costs one exchange, not the process
            exchange.on_defect(defect)

    def eof_received(self) -> bool:
        exchange = self.exchange
        if exchange is None:
            self.close()
            return False
        exchange.now = monotonic()
        if self._is_tunnel:
            exchange.on_upstream_eof()
            return not self.is_tls
        has_begun = self.parser.has_begun
        if self.parser.eof():
            self._lose(has_begun=has_begun, is_fin=True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.slot.closed += 1
        if self.is_closed:
            return
        self._leave_pool()
        exchange = self.exchange
        if exchange is None:
            return
        exchange.now = monotonic()
        if self._is_tunnel:
            exchange.on_upstream_gone()
            return
        if exc is not None and not self.is_tls:
            self._hear_out()
        if self.exchange is not None:
            self._lose(has_begun=self.parser.has_begun, is_fin=False)

    def _hear_out(self) -> None:
        """Take what the endpoint said before it hung up: once a write has failed, the transport reads nothing more.

        So answers a server that refuses a body and closes. What its kernel has delivered is bounded, and no more comes.
        """
        descriptor = self.transport.get_extra_info("socket").fileno()
        try:
            while self.exchange is not None and (data := os.read(descriptor, _READ_BYTES)):
                self.data_received(data)
        except OSError:
            return

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.on_upstream_blocked()

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.on_upstream_writable()

    def _on_timer(self, _now: float) -> None:
        """The idle time is over."""
        if self.exchange is None:
            self.close()

    def _lose(self, *, has_begun: bool, is_fin: bool) -> None:
        exchange = self.exchange
        assert exchange is not None
        if has_begun or self.served == 1:
            ending = Ending.RESET
        elif is_fin and self._acked_before >= 0 and self._bytes_acked() == self._acked_before:
            ending = Ending.UNREAD
        else:
            ending = Ending.REUSED
        self.abandon()
        exchange.on_lost(RESPONSE_INCOMPLETE if has_begun else UPSTREAM_RESET, ending, "")

    def _fail(self, fault: Fault, rule: str) -> None:
        exchange = self.exchange
        assert exchange is not None
        self.abandon()
        exchange.on_lost(fault, Ending.RESET, rule)

    def _bytes_acked(self) -> int:
        """What the other side's kernel has acknowledged of our bytes (TCP_INFO); -1 where that is unknown."""
        sock = self.transport.get_extra_info("socket")
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            acked: int = _BYTES_ACKED.unpack_from(info, _BYTES_ACKED_AT)[0]
        except (OSError, struct.error):
            return -1
        return acked
