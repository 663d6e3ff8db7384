"""One WebSocket to a control plane: text messages both ways, pings, bounds. It knows nothing of what the messages say.

On websockets' protocol without I/O, which keeps the handshake, the masking, the limits and the order of a close; what
is here is the transport, and flow control in both directions.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, cast

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from meshproxy.kit.text import printable
from meshproxy.wire.stream import MAX_FRAME_BYTES, PATH, PING_S

if TYPE_CHECKING:
    from websockets.typing import LoggerLike

CONNECT_S = 5.0
"""For the connection, TLS and the handshake together."""
SILENT_S = 2 * PING_S
CLOSE_S = 1.0
"""How long the other end may take to end the connection once a close was sent."""
MAX_TOLD_CHARS = 200
"""Of what is logged of an end: parts of it come from the other side."""
INBOX_BYTES = 1024 * 1024
"""Of messages that wait to be dealt with; beyond, the stream is not read."""
MESSAGE_BYTES = 128
"""What a message costs beside its own bytes: empty ones are bounded as well."""
REASON_BYTES = 123
"""Of a close (RFC 6455 section 5.5)."""

_quiet = logging.getLogger("meshproxy.discovery.websocket")
_quiet.setLevel(logging.CRITICAL)  # its text for a malformed frame is ours to tell, once, with the stream's end


class StreamClosed(Exception):  # noqa: N818 - an event as much as an error
    """The stream could not be opened, or has ended; the text says why."""


class Stream(asyncio.Protocol):
    """Messages wait in `messages`; `on_event` is called when one came, and when the stream has ended.

    `heard_at` is when anything came last, monotonic. `ended` is empty until the stream has ended: why it has.
    """

    __slots__ = (
        "_inbox_bytes", "_is_full", "_loop", "_on_event", "_parts", "_pinged_at", "_protocol", "_timer", "_transport",
        "closed", "ended", "heard_at", "is_stuck", "messages", "opened", "url",
    )  # fmt: skip

    def __init__(self, url: str, on_event: Callable[[], None]) -> None:
        self.url = url
        self.messages: deque[bytes] = deque()
        self.heard_at = self._pinged_at = monotonic()
        self.ended = ""
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.opened.add_done_callback(_on_opened)
        self.closed = asyncio.Event()
        self._on_event = on_event
        self._protocol = ClientProtocol(
            parse_uri(url + PATH), max_size=MAX_FRAME_BYTES, logger=cast("LoggerLike", _quiet)
        )
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._parts: bytearray | None = None  # of a message that comes in several frames
        self._inbox_bytes = 0
        self._is_full = False  # more waits than INBOX_BYTES: our own slowness
        self.is_stuck = False  # the other end does not read

    @property
    def is_open(self) -> bool:
        return self._protocol.state is OPEN and not self.ended

    def send(self, message: bytes) -> None:
        """Send a text message; without effect once the stream has ended."""
        if self.is_open:
            self._protocol.send_text(message)
            self._flush()

    def receive(self) -> bytes:
        """Take the message that waits longest."""
        message = self.messages.popleft()
        self._inbox_bytes -= len(message) + MESSAGE_BYTES
        if self._is_full and self._inbox_bytes <= INBOX_BYTES // 2:
            self._is_full = False
            self.heard_at = monotonic()
            self._read_or_pause()
        return message

    def close(self, code: int, reason: str) -> None:
        """End the stream in order; the other end has CLOSE_S to agree."""
        if self.is_open:
            self._protocol.send_close(code, reason.encode(errors="replace")[:REASON_BYTES].decode(errors="ignore"))
            self._flush()
            self._end(reason)
        else:
            self.abort(reason)

    def abort(self, reason: str) -> None:
        """End the stream at once."""
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    # The transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self.heard_at = monotonic()
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._on_frame(event)
        self._flush()
        self._look()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end(str(exc) if exc is not None else "the connection was closed")
        if self._timer is not None:
            self._timer.cancel()
        self.closed.set()

    def pause_writing(self) -> None:
        self.is_stuck = True
        self._read_or_pause()

    def resume_writing(self) -> None:
        self.is_stuck = False
        self._read_or_pause()

    # What follows from them

    def _on_frame(self, frame: Frame) -> None:
        if self.ended or frame.opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
            return
        if frame.opcode is Opcode.BINARY:
            self.close(CloseCode.UNSUPPORTED_DATA, "only text is understood")
            return
        if frame.opcode is Opcode.CONT:
            assert self._parts is not None
            self._parts += frame.data
        elif not frame.fin:
            self._parts = bytearray(frame.data)
        if not frame.fin:
            return
        message = bytes(frame.data) if self._parts is None else bytes(self._parts)
        self._parts = None
        self.messages.append(message)
        self._inbox_bytes += len(message) + MESSAGE_BYTES
        if self._inbox_bytes > INBOX_BYTES and not self._is_full:
            self._is_full = True
            self._read_or_pause()
        self._on_event()

    def _look(self) -> None:
        """Look at what became of the protocol."""
        protocol = self._protocol
        if protocol.handshake_exc is not None:
            self.abort(f"the handshake failed: {_reason(protocol.handshake_exc)}")
        elif protocol.state is OPEN:
            if not self.opened.done():
                self.opened.set_result(None)
                self._arm()
        elif protocol.parser_exc is not None:
            self._end(_reason(protocol.parser_exc))
            self._give_time()
        elif protocol.close_rcvd is not None:
            closed = protocol.close_rcvd
            self._end(f"closed by the control plane: {closed.code} {closed.reason}".rstrip())
            self._give_time()

    def _flush(self) -> None:
        data = b"".join(self._protocol.data_to_send())
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _end(self, reason: str) -> None:
        """Nothing of the stream counts any more."""
        if self.ended:
            return
        self.ended = printable(reason[:MAX_TOLD_CHARS]) or "ended"
        self.messages.clear()
        if not self.opened.done():
            self.opened.set_exception(StreamClosed(self.ended))
        self._give_time()
        self._on_event()

    def _give_time(self) -> None:
        """The connection has to end by itself, soon."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._timer = self._loop.call_later(CLOSE_S, self._transport.abort)

    def _read_or_pause(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._is_full or self.is_stuck:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _arm(self) -> None:
        at = min(self._pinged_at + PING_S, self.heard_at + SILENT_S)
        self._timer = self._loop.call_later(max(0.001, at - monotonic()), self._on_timer)

    def _on_timer(self) -> None:
        now = monotonic()
        # What we do not read ourselves is no silence.
        if now >= self.heard_at + SILENT_S and not (self._is_full and not self.is_stuck):
            self.abort(f"nothing was heard for {SILENT_S:g} s")
            return
        if self._is_full:
            self.heard_at = now
        if now >= self._pinged_at + PING_S:
            self._pinged_at = now
            self._protocol.send_ping(b"")
            self._flush()
        self._arm()


def _on_opened(opened: asyncio.Future[None]) -> None:
    """Look at the failure, as nobody else does when the attempt was given up."""
    if not opened.cancelled():
        opened.exception()


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if error.__cause__ is not None:
        text += f" ({error.__cause__})"
    return printable(text[:MAX_TOLD_CHARS])


async def open_stream(url: str, tls: ssl.SSLContext | None, on_event: Callable[[], None]) -> Stream:
    """Connect to `ws[s]://HOST:PORT`, for `wss` under a context that checks the host's name. Raises StreamClosed."""
    uri = parse_uri(url)
    if uri.secure and (tls is None or not tls.check_hostname):
        # Any workload of the mesh could be the control plane otherwise.
        raise StreamClosed("there is no TLS context that checks whom it talks to")
    try:
        async with asyncio.timeout(CONNECT_S):
            return await _open_any(url, uri.host, uri.port, tls if uri.secure else None, on_event)
    except TimeoutError:
        raise StreamClosed(f"no answer within {CONNECT_S:g} s") from None
    except (OSError, WebSocketException) as error:
        raise StreamClosed(_reason(error)) from None


async def _open_any(url: str, host: str, port: int, tls: ssl.SSLContext | None, on_event: Callable[[], None]) -> Stream:
    """Connect to one of the host's addresses: a name may stand for all replicas, so they are tried in any order."""
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"{host} has no address")
    for *_, address in random.sample(infos, len(infos)):
        try:
            _, stream = await loop.create_connection(
                partial(Stream, url, on_event),
                str(address[0]),
                port,
                ssl=tls,
                server_hostname=host if tls is not None else None,
            )
        except OSError as error:
            failure = error
            continue
        try:
            await stream.opened
        except asyncio.CancelledError:
            stream.abort("given up")
            raise
        return stream
    raise failure
