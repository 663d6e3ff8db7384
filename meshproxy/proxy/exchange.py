"""One request and its response, as a state machine: plain calls in, calls on a narrow port out.

The order of things: route, pick an endpoint, take a connection, send, and pass on what comes back; an attempt that
fails before anything of its response was passed on may be repeated. It knows neither codec nor TLS, and no event loop:
heads, data, ends and aborts come in, whoever made them. What only a failing attempt needs is made when one fails.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from meshproxy.faults import (
    ATTEMPT_TIMEOUT,
    BAD_REQUEST,
    BODY_TIMEOUT,
    CLIENT_GONE,
    DISCOVERY_REFUSED,
    DISCOVERY_TIMEOUT,
    INTERNAL,
    METHOD_REFUSED,
    NO_ENDPOINTS,
    NO_ROUTE,
    OVERLOADED,
    REQUEST_TIMEOUT,
    RESPONSE_INCOMPLETE,
    STREAM_IDLE,
    Fault,
)
from meshproxy.metrics.slots import NEVER
from meshproxy.policy.message import Field, RequestHead, ResponseHead
from meshproxy.policy.retry import Ending, decide, delay_s
from meshproxy.policy.timeouts import attempt_deadline
from meshproxy.proxy.respond import fault_response

if TYPE_CHECKING:
    from meshproxy.policy.endpoint import EndpointState
    from meshproxy.policy.retry import Decision
    from meshproxy.policy.route import Match
    from meshproxy.proxy.backend import Backend
    from meshproxy.proxy.destination import Lane
    from meshproxy.proxy.parking import Service
    from meshproxy.proxy.port import Port
    from meshproxy.proxy.stack import Stack
    from meshproxy.proxy.upstream import Upstream
    from meshproxy.wire.resources import Endpoint

REPLAY_BYTES = 65_536
"""How much of a request's body is kept for another attempt; past it the request is not repeatable."""
STREAM_IDLE_S = 300.0
"""How long an exchange may stand still, and a client take nothing of an answer that is already written."""
PARK_S = 3.0
"""How long an exchange waits for a Service that is not known yet, from its head on."""

_RACES = frozenset((Ending.UNREAD, Ending.REUSED))
"""Endings that say nothing against the endpoint: both sides closed or used a kept-alive connection at one time."""


# Where an exchange stands. Plain numbers, since an enum's members cost 50 ns a look-up.
WAITING: Final = 0  # for routing, a connection, or the end of a backoff
SENT: Final = 1  # an attempt is under way, nothing of its response was passed on
RESPONDING: Final = 2  # a response's head was passed on
TUNNEL: Final = 3
DONE: Final = 4  # all is passed on
FINISHED: Final = 5  # and counted
_WORDS: Final = ("waiting", "sent", "responding", "tunnel", "done", "finished")


class Exchange:
    """One request's life. `now` is the time of the event being handled; whoever calls in sets it first."""

    __slots__ = (
        "added", "attempt", "attempt_at", "attempt_until", "attempts", "backend", "detail", "endpoint", "fault",
        "first_byte_s", "head", "is_blocked", "is_half_closed", "is_request_complete", "lane", "last_endpoint",
        "match", "now", "port", "raced", "received_bytes", "replay", "replay_bytes", "request_line", "sent_bytes",
        "stack", "started_at", "state", "status", "trailers", "tried", "until",
    )  # fmt: skip

    def __init__(self, stack: Stack, port: Port, head: RequestHead, now: float) -> None:
        self.stack = stack
        self.port = port
        self.head = head
        self.now = now
        self.started_at = now
        self.state = WAITING
        self.lane: Lane = stack.unrouted
        self.match: Match | None = None
        self.backend: Backend | None = None  # set once it counts the exchange as active
        self.endpoint: EndpointState | None = None  # set while it counts the exchange as in flight
        self.last_endpoint: Endpoint | None = None  # of the latest attempt
        self.attempt: Upstream | None = None
        self.attempts = 0
        self.status = 0
        self.fault: Fault | None = None
        self.detail = ""
        self.first_byte_s = NEVER
        self.until = inf
        self.attempt_until = inf  # the end of the attempt, or of the backoff before the next
        self.received_bytes = 0
        self.sent_bytes = 0
        self.tried: tuple[EndpointState, ...] = ()
        self.raced = False
        self.is_blocked = False
        self.trailers: list[Field] = []

    def __repr__(self) -> str:
        line = self.head.line
        return f"<Exchange {line.method!r} {line.path!r} {_WORDS[self.state]} attempts={self.attempts} {self.fault}>"

    @property
    def request_id(self) -> bytes:
        """The client's own, or the one that was added."""
        if self.head.has_request_id:
            return self.head.value_of(b"x-request-id")
        return self.added.partition(b": ")[2].partition(b"\r\n")[0]

    # What the client does.

    def begin(self, data: bytes, is_end: bool) -> None:
        """Take the request's head with what came of its body, and send it on its way."""
        self.is_request_complete = is_end
        self.replay: list[bytes] | None = [data] if data else None if is_end else []
        self.replay_bytes = len(data)
        head = self.head
        line = head.line
        stack = self.stack
        stack.active += 1
        self.request_line = line.line
        self.added = b""
        destination = stack.destinations.get(head.authority) or stack.resolve(head.authority)
        lane = destination.only
        if lane is None or line.method == b"CONNECT":
            if line.method == b"CONNECT":
                self._fail(METHOD_REFUSED)
                return
            if destination.fault is not None:
                self.lane = destination.unmatched
                self.detail = destination.detail
                if destination.awaits is not None:
                    self._park(destination.awaits)
                else:
                    self._fail(destination.fault)
                return
            routed = destination.route(head, stack.rng)
            if routed is None:
                self.lane = destination.unmatched
                self._fail(NO_ROUTE)
                return
            self.match, lane = routed
        self.lane = lane
        if lane.edits is not None:
            redirect = lane.edits.apply(self)
            if redirect is not None:
                self._answer(redirect, b"")
                return
        # Only now: an edit may have set or removed what would be added.
        self.added = stack.fields_to_add(head) + self.port.forwarded
        backend = lane.backend
        if backend is None:
            self._fail(lane.fault or INTERNAL)
            return
        if backend.active >= backend.max_requests:
            self._fail(OVERLOADED)
            return
        self.backend = backend
        backend.active += 1
        lane.slot.active += 1
        now = self.now
        backend.budget.deposit(now)
        if lane.request_s:
            self.until = now + lane.request_s
        self._attempt(False)

    def _park(self, service: Service) -> None:
        """Wait for a Service that is not known yet: `resume` follows, or the time runs out."""
        if not self.stack.parking.admit(self, service):
            self._fail(DISCOVERY_REFUSED)
            return
        self.until = self.started_at + PARK_S
        self._arm()

    def resume(self, now: float) -> None:
        """What it was parked for is known, or known not to exist: begin anew, with what has come of the body."""
        self.now = now
        self.until = inf
        self.detail = ""
        self.stack.active -= 1
        self.begin(b"".join(self.replay or ()), self.is_request_complete)

    def refuse(self, fault: Fault, detail: str) -> None:
        """Instead of `begin`: what came is no request, and what follows is not read."""
        self.stack.active += 1
        self.added = b""
        self.is_request_complete = True
        self.detail = detail
        self._fail(fault)

    def on_request_data(self, data: bytes) -> None:
        """A piece of the request's body, or of a tunnel."""
        state = self.state
        if state <= SENT:
            self._keep(data)
        if self.attempt is not None:
            self.sent_bytes += len(data)
            self.attempt.send_data(data)

    def on_request_end(self, data: bytes, trailers: list[Field]) -> None:
        """The body's last piece."""
        self.is_request_complete = True
        self.trailers = trailers
        if data:
            self.on_request_data(data)
        if self.attempt is not None:
            self.attempt.send_end(trailers)

    def on_bad_request(self, rule: str) -> None:
        """What followed the head broke the framing rules."""
        self.detail = rule
        self._drop_attempt()
        self._fail(BAD_REQUEST)

    def on_client_eof(self) -> None:
        """The client's half of a tunnel has ended."""
        if self.attempt is not None:
            self._end_half(self.attempt.send_eof())

    def on_client_gone(self) -> None:
        """The client's connection is lost; what was under way for it is given up."""
        if self.state >= DONE:
            return
        self._drop_attempt()
        if self.state != TUNNEL:
            self.fault = CLIENT_GONE
            if self.state != RESPONDING:
                self.status = CLIENT_GONE.status
        self._finish()

    def on_downstream_blocked(self) -> None:
        if self.attempt is not None:
            self.attempt.pause_reading()

    def on_downstream_writable(self) -> None:
        if self.attempt is not None:
            self.attempt.resume_reading()

    # What the endpoint does.

    def on_connected(self, upstream: Upstream) -> None:
        """A connection that was waited for."""
        self._send(upstream)

    def on_body_sent(self) -> None:
        """What had come of the body was written with the head; past the bound it is not kept any longer."""
        self.sent_bytes += self.replay_bytes
        if self.replay_bytes > REPLAY_BYTES:
            self.replay = None

    def on_interim(self, head: ResponseHead) -> None:
        if self.state == SENT:
            self.port.interim(head)

    def on_response(self, head: ResponseHead, data: bytes, is_end: bool) -> None:
        """The final response's head, with what came of its body in the same read."""
        now = self.now
        lane = self.lane
        status = head.status
        endpoint = self.endpoint
        attempt = self.attempt
        assert endpoint is not None
        assert attempt is not None
        assert self.backend is not None
        self.backend.balancer.observe(endpoint, now, now - self.attempt_at, status >= 500)
        retry = lane.retry
        if retry is not None and status in retry.codes and self._repeat_status(attempt, status, is_end):
            return
        self.status = status
        self.first_byte_s = now - self.started_at
        self.replay = None
        if lane.edits is not None:
            lane.edits.edit_response(head)
        self.received_bytes = len(data)
        if is_end:
            self.state = DONE
            self._let_go(attempt, endpoint)
            self.port.respond(head, data, True)
            self._finish()
        else:
            self.state = RESPONDING
            self.port.respond(head, data, False)

    def on_response_data(self, data: bytes) -> None:
        self.received_bytes += len(data)
        self.port.send_data(data)

    def on_response_end(self, data: bytes, trailers: list[Field]) -> None:
        """The body's last piece."""
        self.received_bytes += len(data)
        self.state = DONE
        assert self.attempt is not None
        assert self.endpoint is not None
        self._let_go(self.attempt, self.endpoint)
        self.port.send_end(data, trailers)
        self._finish()

    def on_upgrade(self, head: ResponseHead) -> None:
        """A 101 that was asked for: both sides become one stream of bytes."""
        assert self.attempt is not None
        assert self.endpoint is not None
        assert self.backend is not None
        now = self.now
        self.backend.balancer.observe(self.endpoint, now, now - self.attempt_at, False)
        self.status = head.status
        self.first_byte_s = now - self.started_at
        self.state = TUNNEL
        self.until = self.attempt_until = inf
        self.is_half_closed = False
        self._arm()
        self.attempt.become_tunnel()
        early = self.port.upgrade(head)
        if early:
            self.on_request_data(early)

    def on_upstream_eof(self) -> None:
        """The endpoint's half of a tunnel has ended."""
        self._end_half(self.port.send_eof())

    def _end_half(self, is_passed_on: bool) -> None:
        """With the second half the tunnel is over; with the first, if its end cannot be passed on by itself."""
        if is_passed_on and not self.is_half_closed:
            self.is_half_closed = True
            return
        attempt = self.attempt
        assert attempt is not None
        self.attempt = None
        self._leave_endpoint()
        attempt.close()
        self._finish()

    def on_upstream_gone(self) -> None:
        """The tunnel's connection to the endpoint is lost, in order or not."""
        self._leave_endpoint()
        self.attempt = None
        self.state = DONE
        self.port.send_end(b"", [])
        self._finish()

    def on_upstream_blocked(self) -> None:
        self.is_blocked = True
        self.port.pause_request()

    def on_upstream_writable(self) -> None:
        self.is_blocked = False
        self.port.resume_request()

    def on_lost(self, fault: Fault, ending: Ending | None, detail: str) -> None:
        """The attempt has failed; its connection is already gone. Without `ending` nothing was tried at all."""
        endpoint = self._leave_endpoint()
        self.attempt = None
        self.detail = detail
        if ending is None:
            self._fail(fault)
            return
        if ending not in _RACES:
            self._observe_failure(endpoint)
        if self.state >= RESPONDING:
            self._fail(RESPONSE_INCOMPLETE if fault.status == 502 else fault)
            return
        if not self._repeat(ending, endpoint):
            self._fail(fault)

    def on_defect(self, defect: Exception) -> None:
        """An error of our own: this exchange fails, nothing else does."""
        self.stack.on_defect(defect)
        if self.state < DONE:
            try:
                self._drop_attempt()
                self._fail(INTERNAL)
            except Exception as another:  # noqa: BLE001 - the answer met a defect as well
                self.stack.on_defect(another)
            else:
                return
        self.port.abort()
        if self.state != FINISHED:
            self.fault = INTERNAL
            self._finish()

    # What time does.

    def on_timer(self, now: float) -> None:
        """A deadline may have come: the request's, the attempt's, the backoff's, or that of standing still."""
        idle_s = now - self.now
        if now >= self.until:
            self.now = now
            if self.backend is None:
                self._drop_attempt()
                self._fail(DISCOVERY_TIMEOUT)
            else:
                self._lose_time(REQUEST_TIMEOUT)
        elif now >= self.attempt_until:
            self.now = now
            self.attempt_until = inf
            if self.endpoint is None:
                self._attempt(False)
            else:
                self._lose_time(ATTEMPT_TIMEOUT)
        elif idle_s >= STREAM_IDLE_S:
            self.now = now
            is_waited_for = self.is_request_complete or self.is_blocked
            self._lose_time(STREAM_IDLE if is_waited_for else BODY_TIMEOUT)
        else:
            self._arm()

    def _lose_time(self, fault: Fault) -> None:
        """Give up the attempt under way, if there is one; only a timeout of its own can be repeated."""
        endpoint = self.endpoint
        if endpoint is not None:
            is_connecting = self.attempt is None
            self._drop_attempt()
            if is_connecting or not self._is_client_still():
                self._observe_failure(endpoint)
            # Without a connection nothing of the request was written.
            ending = Ending.CONNECT_TIMEOUT if is_connecting else Ending.ATTEMPT_TIMEOUT
            if fault is ATTEMPT_TIMEOUT and self.state < RESPONDING and self._repeat(ending, endpoint):
                return
        self._fail(fault)

    def _is_client_still(self) -> bool:
        """Whether it is the client that everything waits for: to send its body, or to take the response."""
        is_sending = not self.is_request_complete and not self.is_blocked
        return is_sending or not self.port.is_writable or self.state == TUNNEL

    def _observe_failure(self, endpoint: EndpointState) -> None:
        assert self.backend is not None
        # Of a response under way the time tells of its length, not of its endpoint.
        latency_s = self.now - self.attempt_at if self.state < RESPONDING else 0.0
        self.backend.balancer.observe(endpoint, self.now, latency_s, True)

    def _arm(self) -> None:
        """Let the wheel come back at the first of the deadlines."""
        deadline = self.now + STREAM_IDLE_S
        # Comparisons: two calls of min() cost as much as all the rest of this.
        if self.until < deadline:  # noqa: PLR1730
            deadline = self.until
        if self.attempt_until < deadline:  # noqa: PLR1730
            deadline = self.attempt_until
        self.stack.wheel.arm(self.port.timer, deadline)

    # Attempts.

    def _attempt(self, is_fresh: bool) -> None:
        """Pick an endpoint and take a connection to it; `is_fresh` wants a new one."""
        backend = self.backend
        assert backend is not None
        now = self.now
        endpoint = backend.balancer.pick(now, self.stack.rng, self.tried)
        if endpoint is None:
            self._fail(NO_ENDPOINTS)
            return
        self.endpoint = endpoint
        self.last_endpoint = endpoint.spec
        endpoint.inflight += 1
        self.attempts += 1
        self.attempt_at = now
        if self.lane.backend_request_s:
            self.attempt_until = attempt_deadline(now, self.lane.backend_request_s, self.until)
        self._arm()
        pool = endpoint.pool or backend.open_pool(endpoint)
        upstream = None if is_fresh else pool.take(now)
        if upstream is None:
            pool.wait(self, now)
        else:
            self._send(upstream)

    def _send(self, upstream: Upstream) -> None:
        self.attempt = upstream
        self.state = SENT
        was_blocked = self.is_blocked
        self.is_blocked = False
        upstream.begin(self)
        if was_blocked and not self.is_blocked:
            self.port.resume_request()

    def _keep(self, data: bytes) -> None:
        """Remember a piece of the body for a later attempt; without a connection, hold the client back at the bound."""
        replay = self.replay
        if replay is None:
            return
        replay.append(data)
        self.replay_bytes += len(data)
        if self.replay_bytes > REPLAY_BYTES:
            if self.attempt is not None:
                self.replay = None
            elif not self.is_blocked:
                self.is_blocked = True
                self.port.pause_request()

    def _repeat_status(self, attempt: Upstream, status: int, is_end: bool) -> bool:
        """Give up a response for another attempt, if its status, the route and the budget say so."""
        if self.state != SENT:
            return False
        endpoint = self.endpoint
        assert endpoint is not None
        decision = self._decide(Ending.STATUS, status)
        if decision is None:
            return False
        self._let_go(attempt, endpoint, is_complete=is_end)
        self._go_on(decision, endpoint)
        return True

    def _repeat(self, ending: Ending, endpoint: EndpointState) -> bool:
        """Begin another attempt after one that ended so, if that is safe, wanted and paid for."""
        decision = self._decide(ending, 0)
        if decision is None:
            return False
        self._go_on(decision, endpoint)
        return True

    def _decide(self, ending: Ending, status: int) -> Decision | None:
        lane = self.lane
        backend = self.backend
        assert backend is not None
        is_replayable = self.replay is not None or not self.replay_bytes
        decision = decide(
            self.head.line.method, ending, lane.retry, self.attempts - 1, self.raced, is_replayable, status
        )  # fmt: skip
        if decision is not None and not backend.budget.withdraw(self.now):
            lane.slot.budget_refused += 1
            return None
        return decision

    def _go_on(self, decision: Decision, endpoint: EndpointState) -> None:
        self.state = WAITING
        self.lane.slot.retries[decision.reason] += 1
        self.tried = (*self.tried, endpoint)
        self.raced = self.raced or decision.reason == Ending.REUSED.value
        self.attempt_until = inf
        if decision.wait:
            self.attempt_until = self.now + delay_s(self.lane.retry, self.attempts - 1, self.stack.rng)
            self._arm()
        else:
            self._attempt(decision.fresh)

    def _let_go(self, attempt: Upstream, endpoint: EndpointState, *, is_complete: bool = True) -> None:
        """End an attempt whose response has come; the connection serves again if both messages are complete."""
        endpoint.inflight -= 1
        self.endpoint = None
        self.attempt = None
        if is_complete and self.is_request_complete and not (self.sent_bytes and attempt.has_unsent):
            attempt.release(self.now)
        else:
            attempt.abandon()

    def _drop_attempt(self) -> None:
        """Break off whatever is under way upstream, or waited for."""
        attempt = self.attempt
        if attempt is not None:
            self.attempt = None
            self._leave_endpoint()
            attempt.abandon()
        elif self.endpoint is not None:
            self._leave_endpoint().pool.leave(self)
        elif self.backend is None:
            self.stack.parking.leave(self)

    def _leave_endpoint(self) -> EndpointState:
        endpoint = self.endpoint
        assert endpoint is not None
        endpoint.inflight -= 1
        self.endpoint = None
        return endpoint

    # Ends.

    def _fail(self, fault: Fault) -> None:
        """End with a fault: an answer of our own if nothing was passed on yet, else a response cut short."""
        self.fault = fault
        if self.state < RESPONDING:
            head, body = fault_response(fault, self.detail)
            self._answer(head, body)
        else:
            self.state = DONE
            self.port.abort()
            self._finish()

    def _answer(self, head: ResponseHead, body: bytes) -> None:
        self.state = DONE
        self.status = head.status
        self.first_byte_s = self.now - self.started_at
        self.port.respond(head, body, True)
        self._finish()

    def _finish(self) -> None:
        """Count, log, and let the port go on."""
        self.state = FINISHED
        stack = self.stack
        stack.active -= 1
        slot = self.lane.slot
        backend = self.backend
        if backend is not None:
            backend.active -= 1
            slot.active -= 1
            slot.attempts += self.attempts
            slot.sent_bytes += self.sent_bytes
            slot.received_bytes += self.received_bytes
        now = self.now
        fault = self.fault
        port = self.port
        slot.finish(
            self.status, "" if fault is None else fault.word, port.peer, now - self.started_at, self.first_byte_s
        )  # fmt: skip
        if stack.log_exchange is not None:
            stack.log_exchange(self)
        port.on_finished(now)
