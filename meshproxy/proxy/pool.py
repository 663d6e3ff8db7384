"""Connections to one endpoint: idle ones, the last used first, and the exchanges that wait for one."""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from random import random
from time import monotonic
from typing import TYPE_CHECKING

from meshproxy.faults import (
    CONNECT_TIMEOUT,
    INTERNAL,
    LOOP,
    OUT_OF_DESCRIPTORS,
    OVERLOADED,
    UPSTREAM_RESET,
    Fault,
)
from meshproxy.kit.wheel import Timer
from meshproxy.policy.retry import Ending
from meshproxy.proxy.upstream import Upstream

if TYPE_CHECKING:
    from meshproxy.policy.endpoint import EndpointState
    from meshproxy.proxy.backend import Backend
    from meshproxy.proxy.exchange import Exchange

_ENDINGS: dict[Fault, Ending | None] = {
    CONNECT_TIMEOUT: Ending.CONNECT_TIMEOUT,
    UPSTREAM_RESET: Ending.UNWRITTEN,
    # Our own: another endpoint would fare no better, and this one is not to blame.
    OUT_OF_DESCRIPTORS: None,
    INTERNAL: None,
}

AGE_JITTER = 0.2
"""Connections retire at 80 to 100 % of the maximum age, so that those made together do not end together."""


class Pool:
    """The connections of one endpoint. An exchange takes an idle one, or waits until one is made or given back."""

    __slots__ = ("_dials", "_idle", "_waiting", "backend", "endpoint", "is_closed", "open")

    def __init__(self, backend: Backend, endpoint: EndpointState) -> None:
        self.backend = backend
        self.endpoint = endpoint
        self._idle: list[Upstream] = []
        self._waiting: deque[Exchange] = deque()
        self._dials: set[Dial] = set()
        self.open = 0  # connections established and not yet lost
        self.is_closed = False

    @property
    def idle(self) -> int:
        return len(self._idle)

    def take(self, now: float) -> Upstream | None:
        """Take the idle connection used last; None when there is none that may still be used."""
        idle = self._idle
        while idle:
            upstream = idle.pop()
            if now < upstream.retire_at and upstream.is_quiet():
                upstream.timer.deadline = inf
                return upstream
            upstream.close()
        return None

    def wait(self, exchange: Exchange, now: float) -> None:
        """Let the exchange wait for a connection; one is made for it. It hears of it by `on_connected` or `on_lost`."""
        backend = self.backend
        spec = self.endpoint.spec
        if (spec.address, spec.port) in backend.stack.own_addresses:
            exchange.now = now
            exchange.on_lost(LOOP, None, f"{spec.address}:{spec.port} is this sidecar's own listener")
            return
        if backend.pending >= backend.settings.breaker.max_pending or not backend.has_room():
            exchange.now = now
            exchange.on_lost(OVERLOADED, None, "")
            return
        backend.pending += 1
        self._waiting.append(exchange)
        dial = Dial(self)
        self._dials.add(dial)
        dial.start(now)

    def leave(self, exchange: Exchange) -> None:
        """The exchange no longer waits; the connection under way for it will be idle."""
        if exchange in self._waiting:
            self._waiting.remove(exchange)
            self.backend.pending -= 1

    def give_back(self, upstream: Upstream, now: float) -> None:
        """Take a connection that is new, or whose exchange is complete. Whoever waits longest gets it."""
        if self._waiting and upstream.is_quiet() and (exchange := self._next_for(upstream)) is not None:
            self._waiting.remove(exchange)
            self.backend.pending -= 1
            exchange.now = now
            try:
                exchange.on_connected(upstream)
            except Exception as defect:  # noqa: BLE001 - it is not the fault of whose connection it was
                exchange.on_defect(defect)
        elif self.is_closed:
            upstream.close()
        else:
            self._idle.append(upstream)
            self.backend.stack.wheel.arm(upstream.timer, now + self.backend.settings.pool.idle_s)

    def _next_for(self, upstream: Upstream) -> Exchange | None:
        """Who waits longest; whom a reused connection has just failed gets a new one only."""
        for exchange in self._waiting:
            if not (exchange.raced and upstream.served):
                return exchange
        return None

    def on_left(self, upstream: Upstream) -> None:
        """A connection is closed, or as good as closed."""
        self.open -= 1
        if upstream in self._idle:
            self._idle.remove(upstream)
        self.backend.forget_if_empty(self)

    def close_one_idle(self) -> bool:
        """Close the idle connection that was used longest ago; whether there was one."""
        if not self._idle:
            return False
        self._idle[0].close()
        return True

    def close(self) -> None:
        """The endpoint is gone: idle connections end now, busy ones after their exchange."""
        self.is_closed = True
        while self.close_one_idle():
            pass

    def on_established(self, dial: Dial, upstream: Upstream) -> None:
        if upstream.is_closed or upstream.transport.is_closing():
            upstream.close()
            self.on_failed(dial, UPSTREAM_RESET, "")
            return
        self._dials.discard(dial)
        self.give_back(upstream, monotonic())

    def on_failed(self, dial: Dial, fault: Fault, detail: str) -> None:
        """No connection came to be: that fails the exchange that waits longest, if more wait than are under way."""
        self._dials.discard(dial)
        if len(self._waiting) > len(self._dials):
            self.backend.pending -= 1
            exchange = self._waiting.popleft()
            exchange.now = monotonic()
            exchange.on_lost(fault, _ENDINGS.get(fault, Ending.CONNECT), detail)

    @property
    def dialing(self) -> int:
        return len(self._dials)


class Dial:
    """One connection under way, bounded by the backend's connect timeout."""

    __slots__ = ("_pool", "_task", "_timer")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._timer = Timer(self._on_timeout)
        self._task: asyncio.Task[None] | None = None

    def start(self, now: float) -> None:
        backend = self._pool.backend
        backend.stack.wheel.arm(self._timer, now + backend.settings.connect_timeout_s)
        self._task = backend.stack.tasks.start(self._run())

    def _on_timeout(self, _now: float) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        pool = self._pool
        stack = pool.backend.stack
        retire_at = monotonic() + pool.backend.settings.pool.max_age_s * (1.0 - AGE_JITTER * random())  # noqa: S311
        upstream = Upstream(pool, retire_at)
        try:
            await stack.connector.connect(upstream, pool.backend.name, pool.endpoint.spec)
        except asyncio.CancelledError:
            # Not passed on: only the timer and the process's end cancel a dial, and both want the failure told.
            upstream.discard()
            pool.on_failed(self, CONNECT_TIMEOUT, "")
        except Exception as error:  # noqa: BLE001 - whatever it is, it fails the exchange that waits
            fault, detail = stack.connector.explain(error, pool.endpoint.spec)
            pool.on_failed(self, fault, detail)
        else:
            pool.on_established(self, upstream)
        finally:
            self._timer.close()
