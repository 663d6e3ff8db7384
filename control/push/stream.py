"""One sidecar's stream: reads its messages, keeps it to the rules, writes frames.

The opening handshake is aiohttp's. From then on the connection is read here: a message is taken where its bytes arrive,
without a future and a turn of the loop for each, which for an Ack are a third of all that it costs.
"""

from __future__ import annotations

import asyncio
import logging
from math import inf
from struct import pack
from typing import TYPE_CHECKING

from control.push import frames
from control.push.ask import Asks
from control.push.encode import control_frame, text_frame
from control.push.frames import CLOSE, PING, PONG, TOO_BIG, FrameError, Messages
from control.push.session import Session, SessionError
from meshproxy.wire import stream as wire
from meshproxy.wire.names import is_label, is_subdomain
from meshproxy.wire.resources import SCHEMA
from meshproxy.wire.stream import Ack, Answer, FromSidecar, Hello, Nack, Node, Subscribe, Unsubscribe

if TYPE_CHECKING:
    from control.push.hub import Hub

log = logging.getLogger(__name__)

_PING_FRAME = control_frame(PING, b"")

NORMAL, GOING_AWAY, UNSUPPORTED, POLICY, INTERNAL, TRY_AGAIN = 1000, 1001, 1003, 1008, 1011, 1012
"""Codes of WebSocket closes (RFC 6455 7.4.1 and its registry)."""

_REASON_BYTES = 123  # RFC 6455 5.5: a control frame's payload is at most 125 bytes, two of them the code
_FEW = 16  # names that are taken at once, whatever others are at
_SLICE = 256  # names taken in one turn of the loop
_TURN = 64  # messages taken in one turn of the loop, of what has already been read
_PONG_ROOM_BYTES = 64 * 1024


class Stream(asyncio.Protocol):
    """One WebSocket. Until its Hello there is no session. Owned by the handler of its request.

    `http` had the connection before, and is told when it is lost. `is_open`: the handshake is over.
    """

    __slots__ = (
        "_http", "_hub", "_is_deaf", "_is_lost", "_is_paused", "_many", "_messages", "_stirred", "_transport",
        "acked_at", "address", "asks", "ending", "expires_at", "heard_at", "is_open", "opened_at", "pinged_at",
        "session",
    )  # fmt: skip

    def __init__(
        self, hub: Hub, transport: asyncio.Transport, http: asyncio.BaseProtocol, address: str, expires_at: float
    ) -> None:
        now = hub.clock()
        self.session: Session | None = None
        self.address = address
        self.asks = Asks(hub.bounds)
        self.ending = ""  # why it ends, once it does
        self.is_open = False
        self.opened_at = self.heard_at = self.pinged_at = now
        self.expires_at = expires_at
        self.acked_at = -inf
        self._hub = hub
        self._transport = transport
        self._http = http
        self._messages = Messages(hub.bounds.frame_bytes)
        self._many: tuple[Session, Subscribe | Unsubscribe] | None = None  # what takes several turns of the loop
        self._is_paused = False
        self._is_deaf = False  # what comes cannot be understood any more
        self._is_lost = False
        self._stirred = asyncio.Event()  # there is something for `run`

    async def run(self) -> None:
        """Return when the connection is lost."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            if self._many is not None:
                await self._take_many(*self._many)
                self._many = None
                self._resume()
            if self._is_lost:
                return

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self.heard_at = self._hub.clock()
        self._messages.feed(data)
        if not self._is_paused:
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        self.end("client", NORMAL, "")
        self._http.connection_lost(exc)
        self._is_lost = True
        self._stirred.set()

    def _read(self) -> None:
        """Take what has come, in one turn of the loop not too much."""
        bounds = self._hub.bounds
        self._messages.limit = bounds.answer_bytes if self.asks.is_due(self.heard_at) else bounds.frame_bytes
        try:
            for _ in range(_TURN):
                message = self._messages.next()
                if message is None:
                    return
                self._on_message(*message)
                if self._many is not None:
                    self._pause()
                    self._stirred.set()
                    return
        except FrameError as error:
            self.end("overflow" if error.code == TOO_BIG else "protocol", error.code, str(error))
            self._turn_deaf()
            return
        except Exception:
            log.exception("what a sidecar has sent cannot be taken by a defect")
            self.end("defect", INTERNAL, "the control plane met a defect")
            return
        self._pause()
        asyncio.get_running_loop().call_soon(self._resume)

    def _turn_deaf(self) -> None:
        # A socket that is closed while more comes is reset, and the other end may never read why.
        self._is_deaf = True
        self._messages = Messages(0)
        if not self._transport.is_closing():
            self._transport.write_eof()

    def _on_message(self, kind: int, payload: bytes) -> None:
        if kind == frames.TEXT:
            if not self.ending:
                self._take(payload)
        elif kind == PING:
            self._on_ping(payload)
        elif kind == frames.BINARY:
            self.end("protocol", UNSUPPORTED, "messages are text")
        elif kind == CLOSE:
            self.end("client", NORMAL, "")
            self._transport.close()

    def _pause(self) -> None:
        self._is_paused = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._is_paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._read()

    def write(self, data: bytes) -> None:
        """Write a whole frame. What waits to be written is bounded by what may be on its way."""
        if not self.ending and not self._transport.is_closing():
            self._transport.write(data)

    def ping(self, now: float) -> None:
        self.pinged_at = now
        self.write(_PING_FRAME)

    def end(self, reason: str, code: int, text: str) -> None:
        """Tell the other end why it is over, and see that it soon is; only the first call counts."""
        if self.ending:
            return
        if not self.is_open:
            self._transport.abort()
        payload = pack("!H", code) + text.encode()[:_REASON_BYTES].decode(errors="ignore").encode()
        self.write(control_frame(CLOSE, payload))
        self.ending = reason
        self._hub.on_end(self, text)
        asyncio.get_running_loop().call_later(self._hub.bounds.close_s, self._transport.abort)

    def abort(self) -> None:
        self._transport.abort()

    async def ask(self, what: str) -> str:
        """Read something of the sidecar. Raise AskError, TimeoutError."""
        return await self.asks.ask(what, lambda ask: self.write(text_frame(wire.encode(ask))), self._hub.clock())

    def _take(self, data: bytes) -> None:
        """Take a message; many names are left to `run`."""
        limit = self._hub.bounds.frame_bytes
        is_large = len(data) > limit
        session = self.session
        try:
            message = wire.decode_from_sidecar(data)
            if type(message) is Ack and session is not None:  # the most frequent one
                self._on_ack(session, message)
                return
            if is_large and not isinstance(message, Answer):
                self.end("overflow", TOO_BIG, f"a message of {len(data)} bytes; allowed: {limit}")
            elif session is None:
                self._greet(message)
            elif isinstance(message, Subscribe | Unsubscribe) and len(message.names) > _FEW:
                self._many = session, message
            else:
                self._dispatch(session, message)
        except wire.StreamError as error:
            self.end("protocol", POLICY, f"not understood: {error}")
        except SessionError as error:
            self._refuse(error)

    def _on_ack(self, session: Session, message: Ack) -> None:
        flight = session.on_ack(message.nonce, message.waiting)
        # Whoever guesses nonces and does not read would be written to without end.
        if self._transport.get_write_buffer_size() > session.in_flight_bytes + 2 * _PONG_ROOM_BYTES:
            raise SessionError("acknowledged what it has not read")
        self._hub.on_ack(self, session, flight)

    def _greet(self, message: FromSidecar) -> None:
        if not isinstance(message, Hello):
            raise SessionError("the first message must be a hello")
        if message.schema != SCHEMA:
            raise SessionError(f"schema {message.schema} is unknown; allowed: {SCHEMA}")
        if problem := _node_problem(message.node):
            raise SessionError(problem)
        self.session = self._hub.join(self, message)

    def _dispatch(self, session: Session, message: FromSidecar) -> None:
        hub = self._hub
        match message:
            case Nack():
                session.on_nack(message.nonce, message.problems, self.heard_at)
                hub.on_nack(self, session)
            case Subscribe():
                session.subscribe(message.names, self.heard_at)
                hub.wake(session)
            case Unsubscribe():
                session.unsubscribe(message.names)
                hub.wake(session)
            case Answer():
                if not self.asks.on_answer(message):
                    raise SessionError(f"answered {message.id}, which was not asked")
            case Hello():
                raise SessionError("a second hello")

    async def _take_many(self, session: Session, message: Subscribe | Unsubscribe) -> None:
        """Take many names in several turns of the loop, of which no other stream does the same in one."""
        names = message.names
        for start in range(0, len(names), _SLICE):
            part = names[start : start + _SLICE]
            async with self._hub.turns:
                if self.ending:
                    return
                try:
                    if isinstance(message, Subscribe):
                        session.subscribe(part, self.heard_at, is_last=start + _SLICE >= len(names))
                    else:
                        session.unsubscribe(part)
                except SessionError as error:
                    self._refuse(error)
                await asyncio.sleep(0)
        self._hub.wake(session)

    def _refuse(self, error: SessionError) -> None:
        self.end("overflow" if error.is_excess else "protocol", POLICY, str(error))

    def _on_ping(self, payload: bytes) -> None:
        # An end that does not read hears pongs no sooner if more of them wait (RFC 6455 5.5.3 allows leaving some out).
        if self._transport.get_write_buffer_size() <= _PONG_ROOM_BYTES:
            self.write(control_frame(PONG, payload))


def _node_problem(node: Node) -> str:
    """Say what is wrong with what a sidecar says of itself; nothing if all is well."""
    if not is_label(node.namespace):
        return f"node.namespace {node.namespace[:63]!r} is no RFC 1123 label"
    for field, text in (("service_account", node.service_account), ("workload", node.workload)):
        if not is_subdomain(text):
            return f"node.{field} {text[:63]!r} is no RFC 1123 subdomain"
    if len(node.version) > 64 or not node.version.isprintable():
        return "node.version must have at most 64 printable characters"
    return ""
