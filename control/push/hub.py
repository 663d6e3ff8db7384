"""All streams of this control plane: what has changed goes to whom it concerns, and what is known of each is told.

A change marks the sessions that follow it; one turn later each is written what it lacks, in slices of time, so that a
thousand sidecars do not hold up the loop. There is no task a session and none a message.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import suppress
from math import inf

from prometheus_client import CollectorRegistry

from control.push.ask import AskError
from control.push.bounds import Bounds
from control.push.encode import Frames
from control.push.metrics import PushMetrics
from control.push.proxies import ProxyRow
from control.push.session import Flight, Session
from control.push.stream import GOING_AWAY, INTERNAL, POLICY, TRY_AGAIN, Stream
from control.push.topics import Find, ServicesOf, Topics
from meshproxy.kit.stamp import stamp_second
from meshproxy.kit.text import printable
from meshproxy.kit.throttle import Throttle
from meshproxy.wire.stream import Hello

log = logging.getLogger(__name__)

_SLICE_S = 0.002
"""Sessions are written to for so long in one turn of the loop."""
_MAX_CHARS = 500
"""Of what a log line tells of one event."""
_TELL_S = 1.0
"""Refusals and streams that end badly are logged at most so often; each is counted."""


class Hub:
    """Fans out. Lives on one event loop; `publish` is called there."""

    def __init__(
        self,
        find: Find,
        services_of: ServicesOf,
        registry: CollectorRegistry,
        *,
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.bounds = bounds or Bounds()
        self.clock = clock
        self.wall = wall
        self.turns = asyncio.Lock()  # held for one turn of the loop by whoever has much to do in it
        self._rng = rng
        self._topics = Topics(find, services_of)
        self._frames = Frames()
        self._streams: dict[Stream, None] = {}
        self._sessions: dict[Session, Stream] = {}
        self._awake: OrderedDict[Session, None] = OrderedDict()
        self._is_flushing = False
        self._ended = asyncio.Event()  # set while there is no stream
        self._ended.set()
        self._throttle = Throttle(_TELL_S)
        self._asking = 0
        self._swept_at = clock()
        self._is_late = False
        self._metrics = PushMetrics(registry, self._count, self._count_subscriptions, self._oldest_s)

    # From the compiler

    def publish(self, changed: Collection[str], since: float) -> None:
        """These names have another content, or none; `since`: monotonic time of the write or event behind it."""
        for session in self._topics.publish(changed, since, self.clock()):
            self._awake[session] = None
        self._schedule()

    # For the API

    def proxies(self) -> list[ProxyRow]:
        """Return what is known of every connected sidecar, by namespace and name."""
        now, wall = self.clock(), self.wall()
        rows = [_row(session, stream, now, wall - now) for session, stream in self._sessions.items()]
        return sorted(rows, key=lambda row: (row.namespace, row.name, row.connected_at))

    async def ask(self, namespace: str, name: str, what: str) -> str:
        """Read a connected sidecar's config, endpoints or metrics. Raise LookupError, TimeoutError, AskError."""
        # Of two streams with one name the older is most likely dead.
        for session, stream in reversed(self._sessions.items()):
            if (session.node.namespace, session.node.workload) == (namespace, name):
                return await self._ask(stream, what)
        raise LookupError(f"no sidecar of {namespace}/{name} is connected")

    async def _ask(self, stream: Stream, what: str) -> str:
        if self._asking >= self.bounds.all_asks:
            raise AskError(f"{self._asking} sidecars are being asked already")
        self._asking += 1
        try:
            return await stream.ask(what)
        finally:
            self._asking -= 1

    # From the streams

    def has_room(self) -> bool:
        return len(self._streams) < self.bounds.streams

    def expiry(self) -> float:
        """When a stream that begins now has lived long enough."""
        spread = self.bounds.age_spread
        return self.clock() + self.bounds.age_s * (1 - spread + 2 * spread * self._rng())

    def open(self, stream: Stream) -> None:
        self._streams[stream] = None
        self._ended.clear()

    def join(self, stream: Stream, hello: Hello) -> Session:
        """A stream's sidecar has introduced itself. Raise SessionError."""
        session = Session(hello.node, hello.known, self._topics, self._frames, self.bounds)
        self._sessions[session] = stream
        log.debug("sidecar %s/%s connected", hello.node.namespace, hello.node.workload)
        return session

    def wake(self, session: Session) -> None:
        """There may be something to write to it."""
        self._awake[session] = None
        self._schedule()

    def on_ack(self, stream: Stream, session: Session, flight: Flight) -> None:
        stream.acked_at = stream.heard_at
        if flight.since != inf:
            self._metrics.latency.observe(stream.heard_at - flight.since)
        if session.has_more():
            self.wake(session)

    def on_nack(self, stream: Stream, session: Session) -> None:
        self._metrics.nacks.inc()
        problem = session.problems[0] if session.problems else "no reason given"
        self._warn(_who(stream), f"refuses a push: {problem}")
        self.wake(session)

    def on_end(self, stream: Stream, text: str) -> None:
        """A stream ends: nothing is written to it any more."""
        self._metrics.on_closed(stream.ending)
        stream.asks.close()
        session = stream.session
        if session is not None:
            session.close()
            self._sessions.pop(session, None)
            self._awake.pop(session, None)
        if stream.ending in {"client", "age", "shutdown"}:
            log.debug("sidecar %s: stream closed (%s)", _who(stream), stream.ending)
        else:
            self._warn(_who(stream), f"stream closed ({stream.ending}): {text}")

    def close(self, stream: Stream) -> None:
        """A stream has ended."""
        del self._streams[stream]
        if not self._streams:
            self._ended.set()

    # From the server

    def sweep(self) -> None:
        """Ping, and end what has run out of time."""
        now = self.clock()
        bounds = self.bounds
        late_s = now - self._swept_at - bounds.sweep_s
        self._swept_at = now
        # When the loop has stood still, what sidecars have said meanwhile is read first.
        self._is_late = late_s > bounds.sweep_s and not self._is_late
        if self._is_late:
            return
        for stream in list(self._streams):
            session = stream.session
            if stream.ending:
                continue
            if session is None:
                if now - stream.opened_at > bounds.hello_s:
                    stream.end("protocol", POLICY, f"no hello within {bounds.hello_s:g} s")
            elif now - session.sent_since() > bounds.unacknowledged_s:
                stream.end("stalled", POLICY, f"a push was not answered within {bounds.unacknowledged_s:g} s")
            elif now - stream.heard_at > bounds.silent_s:
                stream.end("ping", POLICY, f"nothing was heard for {bounds.silent_s:g} s")
            elif now > stream.expires_at:
                stream.end("age", TRY_AGAIN, "try again: streams are shared out anew")
            elif now - stream.pinged_at >= bounds.ping_s:
                stream.ping(now)

    async def shutdown(self) -> None:
        """End all streams, and wait until they have."""
        for stream in list(self._streams):
            stream.end("shutdown", GOING_AWAY, "the control plane ends")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), self.bounds.close_s)
        for stream in list(self._streams):
            stream.abort()

    # Inside

    def _warn(self, who: str, text: str) -> None:
        if (suppressed := self._throttle.admit(self.clock())) is not None:
            more = f" ({suppressed} more such events were not logged)" if suppressed else ""
            # What a sidecar has sent may stand in it.
            log.warning("sidecar %s: %s%s", who, printable(text[:_MAX_CHARS]), more)

    def _schedule(self) -> None:
        if self._awake and not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        began = now = self.clock()
        count = size = 0
        while self._awake and now - began < _SLICE_S:
            session, _ = self._awake.popitem(last=False)
            stream = self._sessions.get(session)
            if stream is None:
                continue
            try:
                while (data := session.next(now)) is not None:
                    stream.write(data)
                    count += 1
                    size += len(data)
            except Exception:
                # What a defect keeps from one is no reason to keep anything from the others.
                log.exception("what sidecar %s is to be sent cannot be told by a defect", _who(stream))
                stream.end("defect", INTERNAL, "the control plane met a defect")
            now = self.clock()
        if count:
            self._metrics.pushes.inc(count)
            self._metrics.bytes.inc(size)
        if not self._awake:
            self._frames.clear()
        self._is_flushing = False
        self._schedule()

    def _count(self) -> float:
        return len(self._streams)

    def _count_subscriptions(self) -> float:
        return sum(len(session.subscriptions) for session in self._sessions)

    def _oldest_s(self) -> float:
        oldest = min((session.pending_since() for session in self._sessions), default=inf)
        return max(0.0, self.clock() - oldest)


def _who(stream: Stream) -> str:
    """Name a stream's sidecar; its address as long as it has not said who it is."""
    if stream.session is None:
        return stream.address
    return f"{stream.session.node.namespace}/{stream.session.node.workload}"


def _row(session: Session, stream: Stream, now: float, epoch: float) -> ProxyRow:
    """Tell of one stream; `epoch` is what monotonic time lacks to be the time of day."""
    node = session.node
    behind_since = min(session.pending_since(), session.refused_since())
    return ProxyRow(
        namespace=node.namespace,
        name=node.workload,
        service_account=node.service_account,
        version=node.version,
        address=stream.address,
        connected_at=stamp_second(epoch + stream.opened_at),
        subscribed=len(session.subscriptions),
        synced=session.is_synced(),
        unacknowledged=len(session.flights),
        stale_for_s=max(0.0, now - behind_since),
        last_ack_at=stamp_second(epoch + stream.acked_at) if stream.acked_at != -inf else "",
        last_nack=session.problems,
        waiting=session.waiting,
        oldest_unacknowledged_s=max(0.0, now - session.sent_since()),
    )
