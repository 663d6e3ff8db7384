"""Accepting connections: what is taken in, what is shed, and which protocol gets it.

An accept loop of our own, since a server of asyncio's takes a socket before anybody could look at its first bytes, and
logs and retries where this one must shed. A connection is *half-way* from its accept until a protocol has it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Callable, Sized

from meshproxy.faults import OUT_OF_DESCRIPTORS
from meshproxy.proxy.classify import REFUSALS, STARVED, refusal
from meshproxy.proxy.detect import Detector, is_tls, peek
from meshproxy.proxy.place import turn_away
from meshproxy.proxy.respond import proxy_status
from meshproxy.tls.gate import Gate, TLSFactory
from meshproxy.tls.reload import IdentityStore
from meshproxy.wire.address import format_place

BATCH = 64  # connections accepted in one turn of the loop, so that those already open get theirs
BACKLOG = 4_096  # what one last round may still take when accepting ends; more than the kernel's somaxconn
MAX_CONNECTIONS = 10_000
PAUSE_S = 0.1
SHUTDOWN_TIMEOUT_S = 5.0  # how long a closed TLS connection waits for the peer's close_notify
_RETRIED = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM})  # of that one connection: accept(2)

_SHED_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nproxy-status: "
    + proxy_status(OUT_OF_DESCRIPTORS)
    + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)

PlainFactory = Callable[[], asyncio.BaseProtocol]
OnEvent = Callable[[str, str], None]


class Listener:
    """Accepts on one bound, listening, non-blocking socket, which it owns.

    `connections` is the stack's own set of open connections: a protocol adds itself in `connection_made` and removes
    itself in `connection_lost`; its length and what is half-way are held under `max_connections`.

    With a `tls_factory` TLS and plain are told apart, and a TLS client is let through only with an identity of our
    trust domain under our bundle (see Gate); `identities` is None as long as this sidecar has none, and a TLS client is
    then closed. Without a `tls_factory` everything is plain. `on_event(word, detail)` is told what an operator may want
    to read: `shed`, `starved`, `detect_timeout`, `tls_without_identity`, `tls_failed`; limiting their rate is its part.
    """

    __slots__ = (
        "_closed", "_connections", "_detector", "_handshake_timeout_s", "_identities", "_loop", "_max_connections",
        "_max_halfway", "_on_event", "_plain", "_plain_factory", "_reserve", "_resume", "_sock", "_tls", "_tls_factory",
        "accepted", "detect_timeouts", "last_accept_at", "pauses", "shed", "tls_accepted", "tls_failed",
        "tls_without_identity",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        connections: Sized,
        plain_factory: PlainFactory,
        on_event: OnEvent,
        *,
        tls_factory: TLSFactory | None = None,
        identities: IdentityStore | None = None,
        max_connections: int = MAX_CONNECTIONS,
        max_halfway: int = 1_024,
        detect_timeout_s: float = 10.0,
        handshake_timeout_s: float = 10.0,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._connections = connections
        self._plain_factory = plain_factory
        self._on_event = on_event
        self._tls_factory = tls_factory
        self._identities = identities
        self._max_connections = max_connections
        self._max_halfway = max_halfway
        self._handshake_timeout_s = handshake_timeout_s
        self._detector = Detector(loop, self._hand_plain, self._hand_tls, self._on_silent, detect_timeout_s)
        self._plain: dict[asyncio.Task[object], socket.socket] = {}
        self._tls: dict[asyncio.Task[object], tuple[socket.socket, Gate]] = {}
        self._resume: asyncio.TimerHandle | None = None
        self._reserve = -1
        self._closed = False
        self.accepted = 0
        self.shed = 0
        self.pauses = 0
        self.tls_accepted = 0
        self.tls_failed = dict.fromkeys(REFUSALS, 0)
        self.tls_without_identity = 0
        self.detect_timeouts = 0
        self.last_accept_at = 0.0  # monotonic; 0 before the first

    @property
    def halfway(self) -> int:
        """Connections that no protocol has yet."""
        return len(self._detector) + len(self._tls) + len(self._plain)

    @property
    def detect_closed(self) -> int:
        """Connections that ended before their first byte, as a TCP health check does."""
        return self._detector.closed

    def start(self) -> None:
        self._reserve = _open_reserve()
        self._loop.add_reader(self._sock, self._on_acceptable)

    def turn_away(self) -> None:
        """Lets those in who are connecting just now, and nobody else: the first half of an end that resets nobody."""
        if self._sock.fileno() >= 0:
            turn_away(self._sock)

    def stop_accepting(self) -> None:
        """Takes what the kernel has already accepted, then closes the socket: a later client is refused at once."""
        if self._sock.fileno() < 0:
            return
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        self._accept(BACKLOG)
        self._loop.remove_reader(self._sock)
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        self._sock.close()
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1

    def close(self) -> None:
        """Stops accepting and closes what is half-way; connections that a protocol has are its stack's to close."""
        self.stop_accepting()
        self._closed = True
        self._detector.close()
        for task in self._tls:
            task.cancel()

    def _on_acceptable(self) -> None:
        self._accept(BATCH)

    def _accept(self, most: int) -> None:
        for _ in range(most):
            try:
                sock, _address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as exc:
                if exc.errno in _RETRIED:
                    continue
                if exc.errno in STARVED:
                    self._shed_starved()
                self._pause(exc)
                return
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        self.last_accept_at = time.monotonic()
        if len(self._connections) + self.halfway >= self._max_connections or not self._has_room():
            self._shed(sock)
            self._on_event("shed", "the listener is at its limit of connections")
            return
        self.accepted += 1
        sock.setblocking(False)
        if self._tls_factory is None:
            self._hand_plain(sock)
        else:
            self._detector.take(sock)

    def _has_room(self) -> bool:
        """Whether one more may be half-way; the place of the longest silent one is taken if need be."""
        if len(self._detector) + len(self._tls) < self._max_halfway:
            return True
        return self._detector.release_oldest()

    def _hand_plain(self, sock: socket.socket) -> None:
        # TCP_NODELAY is set by uvloop on every TCP transport.
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._plain_factory, sock))
        self._plain[task] = sock
        task.add_done_callback(self._on_plain_handed)

    def _on_plain_handed(self, task: asyncio.Task[tuple[asyncio.Transport, asyncio.BaseProtocol]]) -> None:
        sock = self._plain.pop(task)
        if task.cancelled():
            sock.close()
        elif exc := task.exception():
            sock.close()
            self._loop.call_exception_handler({"message": "a connection could not be handed over", "exception": exc})
        elif self._closed:
            task.result()[0].abort()

    def _on_silent(self, sock: socket.socket) -> None:
        # Its protocol's own timeouts take over, and a client that opens connections ahead of need is not hurt.
        self.detect_timeouts += 1
        self._on_event("detect_timeout", f"{_peer(sock)} sent nothing and is taken for plain")
        self._hand_plain(sock)

    def _hand_tls(self, sock: socket.socket) -> None:
        if self._identities is None or self._tls_factory is None:
            self.tls_without_identity += 1
            self._on_event("tls_without_identity", f"{_peer(sock)} speaks TLS, and this sidecar has no identity")
            sock.close()
            return
        identity = self._identities.current
        gate = Gate(self._tls_factory, identity.id.trust_domain)
        task = self._loop.create_task(
            self._loop.connect_accepted_socket(
                lambda: gate,
                sock,
                ssl=identity.server,
                ssl_handshake_timeout=self._handshake_timeout_s,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
            )
        )
        self._tls[task] = sock, gate
        task.add_done_callback(self._on_handshake)

    def _on_handshake(self, task: asyncio.Task[tuple[asyncio.Transport, asyncio.BaseProtocol]]) -> None:
        sock, gate = self._tls.pop(task)
        exc = None if task.cancelled() else task.exception()
        if gate.peer:
            self.tls_accepted += 1
            return
        # uvloop owns and closes the socket from its first step on; before that step it is still ours.
        sock.close()
        if not task.cancelled():
            word = "identity" if gate.refusal else refusal(exc)
            self.tls_failed[word] += 1
            self._on_event("tls_failed", f"{word}: {gate.refusal or exc or 'the client closed'}")

    def _shed(self, sock: socket.socket) -> None:
        """Answers 503 at once, without a transport, and closes; a TLS client could not read the answer."""
        self.shed += 1
        try:
            sock.setblocking(False)
            if self._tls_factory is None or not is_tls(peek(sock) or b"-"):
                sock.send(_SHED_ANSWER)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(65_536)  # a close with unread bytes is a reset, which may overtake the answer
        except OSError:
            pass
        finally:
            sock.close()

    def _shed_starved(self) -> None:
        """Out of descriptors: the reserve is given up for each of the waiting in turn, so that none of them hangs."""
        before = self.shed
        for _ in range(BATCH):
            if self._reserve >= 0:
                os.close(self._reserve)
                self._reserve = -1
            try:
                sock, _address = self._sock.accept()
            except OSError:
                break
            self.last_accept_at = time.monotonic()
            self._shed(sock)
        self._reserve = _open_reserve()
        self._on_event("starved", f"no file descriptor is left; {self.shed - before} connections were answered 503")

    def _pause(self, exc: OSError) -> None:
        """Looks away from the socket, which stays readable while accept fails: the loop would spin."""
        self.pauses += 1
        if exc.errno not in STARVED:
            self._on_event("starved", f"accept fails: {exc.strerror}")
        self._loop.remove_reader(self._sock)
        self._resume = self._loop.call_later(PAUSE_S, self._on_resume)

    def _on_resume(self) -> None:
        self._resume = None
        self._loop.add_reader(self._sock, self._on_acceptable)


def _open_reserve() -> int:
    """A descriptor held only to be given up when there is no other; -1 when there is none even for this."""
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _peer(sock: socket.socket) -> str:
    try:
        return format_place(sock.getpeername()[:2])
    except OSError:
        return "a client that has gone"
