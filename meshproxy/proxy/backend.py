"""One backend at work: its endpoints, its connections, and the bounds that hold for both."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING

from meshproxy.policy.balance import Balancer
from meshproxy.policy.budget import RetryBudget
from meshproxy.proxy.pool import Pool
from meshproxy.wire import resources as wire

if TYPE_CHECKING:
    from meshproxy.policy.endpoint import EndpointState
    from meshproxy.proxy.stack import Stack


class Backend:
    """Outlives snapshots: what is known of endpoints, and their connections, stay while the settings do.

    `active` counts exchanges from routing to their end, `pending` those of them that wait for a connection.
    """

    __slots__ = (
        "active", "balancer", "budget", "max_requests", "name", "pending", "pools", "settings", "stack",
    )  # fmt: skip

    def __init__(self, name: str, settings: wire.Backend, stack: Stack) -> None:
        self.name = name
        self.settings = settings
        self.stack = stack
        self.balancer = Balancer(settings)
        self.budget = RetryBudget.of(settings.retry_budget)
        self.max_requests = settings.breaker.max_requests
        self.active = 0
        self.pending = 0
        self.pools: set[Pool] = set()

    def __repr__(self) -> str:
        return f"<Backend {self.name} active={self.active} pending={self.pending}>"

    def update(self, endpoints: Iterable[wire.Endpoint]) -> None:
        """Take a new list of endpoints. Those that are gone get no further request; what they have is finished."""
        for gone in self.balancer.update(endpoints, monotonic()):
            self._close_pool(gone)

    def close(self) -> None:
        """The backend is gone from the configuration; exchanges that began on it may still try its endpoints."""
        for pool in list(self.pools):
            pool.close()

    def open_pool(self, endpoint: EndpointState) -> Pool:
        """Make the endpoint's pool, at its first request."""
        pool: Pool = Pool(self, endpoint)
        endpoint.pool = pool
        self.pools.add(pool)
        return pool

    def has_room(self) -> bool:
        """Whether one connection more may be made; an idle one makes way."""
        limit = self.settings.breaker.max_connections
        if sum(p.open + p.dialing for p in self.pools) < limit:
            return True
        return any(p.close_one_idle() for p in list(self.pools))

    def _close_pool(self, state: EndpointState) -> None:
        if state.pool is not None:
            state.pool.close()
            self.forget_if_empty(state.pool)

    def forget_if_empty(self, pool: Pool) -> None:
        """Until its last connection is lost, a closed pool still counts against the bound."""
        if pool.is_closed and not pool.open:
            self.pools.discard(pool)
