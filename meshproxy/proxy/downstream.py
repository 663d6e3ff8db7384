"""One client's HTTP/1.1 connection: requests in order, one exchange at a time, and the responses written back."""

from __future__ import annotations

import asyncio
import socket
import struct
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, cast

from meshproxy.faults import BAD_REQUEST, HEAD_TIMEOUT, HEAD_TOO_LARGE, Fault
from meshproxy.http1.chunked import encode_chunk, encode_end
from meshproxy.http1.error import ProtocolError
from meshproxy.http1.request import RequestParser
from meshproxy.kit.wheel import Timer
from meshproxy.policy.message import CHUNKED, NO_BODY, UNTIL_CLOSE, Field, RequestHead, RequestLine, ResponseHead
from meshproxy.proxy.exchange import STREAM_IDLE_S, Exchange

if TYPE_CHECKING:
    from meshproxy.metrics.slots import ConnectionSlot
    from meshproxy.proxy.stack import Stack

HEAD_TIMEOUT_S = 10.0
"""From a head's first byte to its last."""
FIRST_TIMEOUT_S = 60.0
"""From the connection's beginning to its first byte."""
IDLE_S = 3600.0
"""Between requests (Envoy's connection idle timeout)."""
LINGER_S = 1.0
"""How long a connection that ends with something unread is still read from, so that our last answer is not lost to a
reset (RFC 9112 section 9.6)."""
RECENT_S = 0.5
"""While draining: whoever has been heard of within this time, by a connection or a request, may be about to send."""
PIPELINE_BYTES = 65_536
"""What a client may send ahead of its responses before it is not read any more."""
JOIN_BYTES = 16_384
"""Up to this size a head and its body are joined into one write, which costs less than a gathering one."""

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER for no time: closing sends a reset
_NO_HEAD = RequestHead(
    RequestLine(b"", b"", b"", 1), [], b"", b"", NO_BODY,
    keep_alive=False, expect_continue=False, upgrade=b"", has_request_id=0, has_forwarded_proto=0,
)  # fmt: skip


class Downstream(asyncio.Protocol):
    """The port of its exchanges. `peer` is the client's verified identity, empty when the connection is plain."""

    __slots__ = (
        "_is_chunked", "_is_feeding", "_is_lingering", "_is_reading", "_is_tunnel", "_must_close", "_wants_end",
        "exchange", "forwarded", "head", "is_writable", "now", "parser", "peer", "slot", "stack", "timer", "transport",
    )  # fmt: skip

    def __init__(self, stack: Stack, peer: str = "") -> None:
        self.stack = stack
        self.peer = peer
        self.forwarded = b""
        self.parser = RequestParser(stack.requests, self)
        self.timer = Timer(self._on_timer)
        self.exchange: Exchange | None = None
        self.now = 0.0
        self._is_chunked = False
        self._is_feeding = False
        self._is_lingering = False
        self._is_reading = True
        self._is_tunnel = False
        self.is_writable = True
        self._must_close = False
        self._wants_end = stack.is_draining

    def __repr__(self) -> str:
        return f"<Downstream {self.peer or 'plain'} {self.exchange}>"

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        is_tls = transport.get_extra_info("ssl_object") is not None
        self.slot: ConnectionSlot = self.stack.downstream_slots[is_tls]
        self.slot.opened += 1
        self.forwarded = self.stack.client_certificate(self.peer, transport)
        self.now = monotonic()
        self.stack.connections.add(self)
        self.stack.wheel.arm(self.timer, self.now + FIRST_TIMEOUT_S)

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            return
        self.now = monotonic()
        if self.exchange is not None:
            self.exchange.now = self.now
        self._feed(data)

    def eof_received(self) -> bool:
        exchange = self.exchange
        self.now = monotonic()
        if exchange is not None:
            exchange.now = self.now
            if self._is_tunnel:
                exchange.on_client_eof()
                return self.transport.get_extra_info("ssl_object") is None
            self._lose_client(exchange)
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.slot.closed += 1
        self.stack.connections.discard(self)
        exchange = self.exchange
        if exchange is not None:
            exchange.now = monotonic()
            self._lose_client(exchange)
        self.parser.kill()
        self.timer.close()

    def pause_writing(self) -> None:
        self.is_writable = False
        if self.exchange is not None:
            self.exchange.on_downstream_blocked()

    def resume_writing(self) -> None:
        self.is_writable = True
        if self.exchange is not None:
            self.exchange.on_downstream_writable()
        elif not self._must_close:
            self.on_finished(monotonic())

    def _lose_client(self, exchange: Exchange) -> None:
        """What it has sent ahead is not begun any more."""
        self._must_close = True
        self.parser.kill()
        exchange.on_client_gone()

    def _feed(self, data: bytes) -> None:
        parser = self.parser
        self._is_feeding = True
        try:
            parser.feed(data)
        except ProtocolError as error:
            self._on_bad_request(error)
        except Exception as defect:  # noqa: BLE001 - a defect costs one exchange, not the process
            self._on_defect(defect)
        self._is_feeding = False
        if parser.buffer:
            self._on_waiting_bytes()

    def _on_waiting_bytes(self) -> None:
        """A part of a head has its time; what is sent ahead of a response has its bound."""
        if self.exchange is not None:
            if self.parser.buffered_bytes > PIPELINE_BYTES:
                self.pause_request()
        elif not self._must_close:
            deadline = self.now + HEAD_TIMEOUT_S
            if deadline < self.timer.deadline:
                self.stack.wheel.arm(self.timer, deadline)

    # The parser's side.

    def on_request(self, head: RequestHead, data: bytes, is_end: bool) -> None:
        self.head = head
        self.exchange = exchange = Exchange(self.stack, self, head, self.now)
        exchange.begin(data, is_end)

    def on_request_data(self, data: bytes) -> None:
        if self.exchange is not None:
            self.exchange.on_request_data(data)

    def on_request_end(self, data: bytes, trailers: list[Field]) -> None:
        if self.exchange is not None:
            self.exchange.on_request_end(data, trailers)

    def _on_bad_request(self, error: ProtocolError) -> None:
        self._wants_end = self._must_close = True
        self.stack.on_refused(error.rule)
        if self.exchange is not None:
            self._is_lingering = True
            self.exchange.on_bad_request(error.rule)
            return
        self._refuse(HEAD_TOO_LARGE if error.is_oversized else BAD_REQUEST, error.rule)

    def _refuse(self, fault: Fault, detail: str) -> None:
        """Answer what never became a request, and close."""
        self._must_close = True
        self._is_lingering = True
        self.head = _NO_HEAD
        self.exchange = exchange = Exchange(self.stack, self, _NO_HEAD, self.now)
        exchange.refuse(fault, detail)

    def _on_defect(self, defect: Exception) -> None:
        if self.exchange is not None:
            self.exchange.on_defect(defect)
        else:
            self.stack.on_defect(defect)
            self.transport.abort()

    # The exchange's side.

    def respond(self, head: ResponseHead, data: bytes, is_end: bool) -> None:
        request = self.head
        if (
            not head.has_length
            or not request.keep_alive
            or not request.line.is_usual
            or self._wants_end
            or (is_end and not self._is_request_complete())
        ):
            self._respond_specially(head, data, is_end)
        elif len(data) < JOIN_BYTES:
            self.transport.write(b"".join((head.line.line, head.block, b"\r\n", data)))
        else:
            self.transport.writelines((head.line.line, head.block, b"\r\n", data))

    def _respond_specially(self, head: ResponseHead, data: bytes, is_end: bool) -> None:
        """Everything but a response with a length on a connection that goes on."""
        request = self.head
        is_old = not request.line.minor
        framing = b""
        if request.line.method == b"HEAD":
            data = b""
        elif head.length in (CHUNKED, UNTIL_CLOSE):
            if is_old:
                self._must_close = True
            else:
                self._is_chunked = True
                framing = b"transfer-encoding: chunked\r\n"
        is_last = not request.keep_alive or request.line.method == b"CONNECT" or self._wants_end
        if is_last or (is_end and not self._is_request_complete()):
            self._must_close = True
        if self._must_close:
            framing += b"connection: close\r\n"
        elif is_old:
            framing += b"connection: keep-alive\r\n"
        out = [head.line.line, head.block, framing, b"\r\n"]
        if self._is_chunked:
            if data:
                out.extend(encode_chunk(data))
            if is_end:
                self._is_chunked = False
                out.append(encode_end([]))
        else:
            out.append(data)
        self.transport.writelines(out)

    def _is_request_complete(self) -> bool:
        return self.exchange is None or self.exchange.is_request_complete

    def interim(self, head: ResponseHead) -> None:
        if self.head.line.minor:
            self.transport.write(b"".join((head.line.line, head.block, b"\r\n")))

    def upgrade(self, head: ResponseHead) -> bytes:
        self._is_tunnel = True
        self._must_close = True
        self.transport.write(
            b"".join((head.line.line, head.block, b"connection: upgrade\r\nupgrade: websocket\r\n\r\n"))
        )
        self.resume_request()
        return self.parser.tunnel()

    def send_data(self, data: bytes) -> None:
        if self._is_chunked:
            self.transport.writelines(encode_chunk(data))
        else:
            self.transport.write(data)

    def send_end(self, data: bytes, trailers: list[Field]) -> None:
        if self._is_chunked:
            self._is_chunked = False
            out = encode_chunk(data) if data else []
            out.append(encode_end(trailers))
            self.transport.writelines(out)
        elif data:
            self.transport.write(data)

    def send_eof(self) -> bool:
        if not self.transport.can_write_eof():
            return False
        self.transport.write_eof()
        return True

    def abort(self) -> None:
        self._must_close = True
        if not self.head.line.minor:
            # The end of the connection may be the body's end to it; only a reset tells that this one is not.
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def pause_request(self) -> None:
        if self._is_reading and not self.transport.is_closing():
            self._is_reading = False
            self.transport.pause_reading()

    def resume_request(self) -> None:
        if not self._is_reading and not self.transport.is_closing():
            self._is_reading = True
            self.transport.resume_reading()

    def on_finished(self, now: float) -> None:
        exchange = self.exchange
        self.exchange = None
        parser = self.parser
        if self._must_close or (exchange is not None and not exchange.is_request_complete):
            self._must_close = True
            self.now = now
            self._end()
            return
        if not self.is_writable:
            # The client does not take what it has asked for: until it does, nothing of it is read.
            self.stack.wheel.arm(self.timer, now + STREAM_IDLE_S)
            self.pause_request()
            return
        # The wheel comes by within the exchange's own deadlines and sees this later one: no call is needed.
        self.timer.deadline = now + IDLE_S
        parser.resume()
        if not self._is_reading:
            self.resume_request()
        if parser.buffer and not self._is_feeding:
            self.now = now
            self._feed(b"")

    # Endings.

    def announce_end(self) -> None:
        """The next response says that it is the last."""
        self._wants_end = True

    def end_if_idle(self) -> None:
        """Close if nothing is under way nor about to be; else the response's end closes."""
        self._wants_end = True
        if self.exchange is None and not self.parser.buffered_bytes and monotonic() - self.now >= RECENT_S:
            self._must_close = True
            self._close()

    def _end(self) -> None:
        """Close after the last response; gently if the client may still be sending."""
        if self._is_lingering or self.parser.is_in_body or self.parser.buffered_bytes:
            self._linger()
        else:
            self._close()

    def _close(self) -> None:
        """Close once all is written, or once the client has taken nothing of it for too long."""
        self.parser.kill()
        self.transport.close()
        self.stack.wheel.arm(self.timer, self.now + STREAM_IDLE_S)

    def _linger(self) -> None:
        transport = self.transport
        self.parser.kill()
        self._is_lingering = True
        if transport.is_closing():
            return
        self.resume_request()
        if transport.can_write_eof():
            transport.write_eof()
        self.stack.wheel.arm(self.timer, self.now + LINGER_S)

    def _on_timer(self, now: float) -> None:
        self.now = now
        exchange = self.exchange
        if exchange is not None:
            exchange.on_timer(now)
            # If that has ended it, the wheel has let go of the timer, and `on_finished` has only written a deadline.
            if self.timer.deadline != inf and not self.transport.is_closing():
                self.stack.wheel.arm(self.timer, self.timer.deadline)
        elif self.transport.is_closing() or not (self.is_writable or self._is_lingering):
            self.transport.abort()
        elif self.parser.buffered_bytes:
            self._refuse(HEAD_TIMEOUT, "")
        else:
            self._close()
