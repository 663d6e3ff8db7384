"""What stands around an exchange, recording: a client, endpoints in a fixed order, and a clock that is set by hand.

Everything that the exchange does is a line of `said`, so that a test reads as the transcript of what happened.
"""

from __future__ import annotations

from typing import Any, cast

from meshproxy.faults import Fault
from meshproxy.kit.wheel import Timer
from meshproxy.metrics.slots import Registry
from meshproxy.policy.budget import RetryBudget
from meshproxy.policy.endpoint import EndpointState
from meshproxy.policy.message import CHUNKED, NO_BODY, RequestHead, RequestLine, ResponseHead, StatusLine
from meshproxy.policy.retry import Ending, RetryPolicy
from meshproxy.proxy.destination import Lane
from meshproxy.proxy.exchange import Exchange
from meshproxy.wire import resources as wire


class Attempt:
    """A connection to an endpoint. `is_new` until it has been released once."""

    def __init__(self, mesh: Mesh, name: str) -> None:
        self.mesh = mesh
        self.name = name
        self.has_unsent = False

    def begin(self, exchange: Exchange) -> None:
        body = b"".join(exchange.replay or [])
        self.mesh.say(f"send {self.name}" + (f" {body.decode()}" if body else ""))

    def send_data(self, data: bytes) -> None:
        self.mesh.say(f"data {self.name} {data.decode()}")

    def send_end(self, trailers: list[Any]) -> None:
        self.mesh.say(f"end {self.name}")

    def send_eof(self) -> bool:
        self.mesh.say(f"eof {self.name}")
        return True

    def release(self, now: float) -> None:
        self.mesh.say(f"release {self.name}")

    def abandon(self) -> None:
        self.mesh.say(f"abandon {self.name}")

    def close(self) -> None:
        self.mesh.say(f"close {self.name}")

    def pause_reading(self) -> None:
        self.mesh.say(f"pause {self.name}")

    def resume_reading(self) -> None:
        self.mesh.say(f"resume {self.name}")

    def become_tunnel(self) -> None:
        self.mesh.say(f"tunnel {self.name}")


class Pool:
    """Has `idle` connections at hand; for a new one the exchange waits until the test says `connected`."""

    def __init__(self, mesh: Mesh, name: str) -> None:
        self.mesh = mesh
        self.name = name
        self.idle = 0

    def take(self, now: float) -> Attempt | None:
        if not self.idle:
            return None
        self.idle -= 1
        return Attempt(self.mesh, self.name)

    def wait(self, exchange: Exchange, now: float) -> None:
        self.mesh.say(f"dial {self.name}")

    def leave(self, exchange: Exchange) -> None:
        self.mesh.say(f"leave {self.name}")


class Balancer:
    """Picks the first endpoint not tried yet, else the first."""

    def __init__(self, mesh: Mesh, states: list[EndpointState]) -> None:
        self.mesh = mesh
        self.states = states

    def pick(self, now: float, rng: Any, tried: Any = ()) -> EndpointState | None:
        fresh = [state for state in self.states if state not in tried] or self.states
        return fresh[0] if fresh else None

    def observe(self, state: EndpointState, now: float, latency_s: float, failed: bool) -> None:
        self.mesh.say(f"{state.pool.name} {'failed' if failed else 'took'} {latency_s:g}")


class Backend:
    name = "default/echo:80"
    max_requests = 10

    def __init__(self, mesh: Mesh, names: str, budget: RetryBudget) -> None:
        states = []
        for n, name in enumerate(names):
            state = EndpointState(wire.Endpoint(address="10.0.0.1", port=n + 1))
            state.pool = Pool(mesh, name)
            states.append(state)
        self.balancer = Balancer(mesh, states)
        self.budget = budget
        self.active = 0


class Client:
    """The port: what the client gets."""

    peer = ""
    forwarded = b""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.timer = Timer(lambda now: None)
        self.is_writable = True
        self.early = b""

    def respond(self, head: ResponseHead, data: bytes, is_end: bool) -> None:
        word = head.block.decode().partition('details="')[2].partition('"')[0]
        self.mesh.say(f"answer {head.status}" + (f" {word}" if word else "") + ("" if is_end else " ..."))

    def interim(self, head: ResponseHead) -> None:
        self.mesh.say(f"interim {head.status}")

    def upgrade(self, head: ResponseHead) -> bytes:
        self.mesh.say("upgrade")
        return self.early

    def send_data(self, data: bytes) -> None:
        self.mesh.say(f"pass {data.decode()}")

    def send_end(self, data: bytes, trailers: list[Any]) -> None:
        self.mesh.say("pass end")

    def send_eof(self) -> bool:
        self.mesh.say("pass eof")
        return True

    def abort(self) -> None:
        self.mesh.say("cut")

    def pause_request(self) -> None:
        self.mesh.say("hold client")

    def resume_request(self) -> None:
        self.mesh.say("free client")

    def on_finished(self, now: float) -> None:
        self.mesh.say("finished")


class Mesh:
    """One backend with an endpoint for each letter of `names`, and one exchange under way at a time."""

    def __init__(
        self,
        names: str = "ab",
        *,
        retry: wire.Retry | None = None,
        request_s: float = 0.0,
        backend_request_s: float = 0.0,
        budget: RetryBudget | None = None,
    ) -> None:
        self._said: list[str] = []
        self.now = 100.0
        self.registry = Registry()
        self.slot = self.registry.exchange("outbound", "default/echo:80", "r", "default/echo:80", "http")
        self.backend = Backend(self, names, budget or RetryBudget(20, 10, 10))
        self.lane = Lane("default/echo:80", None, None, cast("Any", self.backend), self.slot)
        self.lane.retry = RetryPolicy(retry) if retry else None
        self.lane.request_s = request_s
        self.lane.backend_request_s = backend_request_s
        self.client = Client(self)
        self.exchange: Exchange
        # What the exchange asks of its stack.
        self.unrouted = Lane("", None, None, None, self.registry.exchange("outbound", "", "", "", "http"))
        self.destinations = {b"echo": self}
        self.only = self.lane
        self.active = 0
        self.wheel = self
        self.log_exchange = None
        self.defects: list[Exception] = []
        self.on_defect = self.defects.append

    def fields_to_add(self, head: RequestHead) -> bytes:
        return b""

    def rng(self) -> float:
        return 0.5

    def arm(self, timer: Timer, deadline: float) -> None:
        timer.deadline = deadline

    # What a test says and asks.

    def say(self, line: str) -> None:
        self._said.append(line)

    @property
    def said(self) -> list[str]:
        """What was done since this was asked last."""
        lines, self._said = self._said, []
        return lines

    def idle(self, name: str, count: int = 1) -> None:
        for state in self.backend.balancer.states:
            if state.pool.name == name:
                state.pool.idle = count

    def begin(self, method: str = "GET", data: bytes = b"", *, is_end: bool = True) -> None:
        line = RequestLine(method.encode(), b"/", b"", 1)
        length = NO_BODY if is_end and not data else len(data) if is_end else CHUNKED
        head = RequestHead(line, [], b"", b"echo", length, True, False, b"", 0, 0)
        self.exchange = Exchange(cast("Any", self), cast("Any", self.client), head, self.now)
        self.exchange.begin(data, is_end)

    def pass_time(self, seconds: float) -> None:
        """Let time pass; the timer fires if its deadline has come."""
        self.now += seconds
        if self.now >= self.client.timer.deadline:
            self.exchange.on_timer(self.now)
        self.exchange.now = self.now

    def connected(self, name: str) -> None:
        self.exchange.on_connected(cast("Any", Attempt(self, name)))

    def lost(self, fault: Fault, ending: Ending | None) -> None:
        self.exchange.on_lost(fault, ending, "")

    def response(self, status: int = 200, *, is_end: bool = True) -> None:
        head = ResponseHead(StatusLine(status, b"X", 1), [], b"", 0, 1, True)
        if status < 200:
            self.exchange.on_interim(head)
        else:
            self.exchange.on_response(head, b"", is_end)

    def is_over(self) -> bool:
        """Nothing of the exchange is counted as under way any more."""
        inflight = sum(state.inflight for state in self.backend.balancer.states)
        return (self.active, self.backend.active, self.slot.active, inflight) == (0, 0, 0, 0)
