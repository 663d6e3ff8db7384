"""Where exchanges wait for a Service that is not known yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from meshproxy.proxy.exchange import Exchange

MAX_PARKED = 1_024
"""So many exchanges may wait at once; a further one is refused."""

Service: TypeAlias = tuple[str, str]
"""A Service's namespace and name."""


class Parking:
    """Exchanges by the Service that they wait for, in the order they came."""

    __slots__ = ("_exchanges", "_services")

    def __init__(self) -> None:
        self._services: dict[Exchange, Service] = {}
        self._exchanges: dict[Service, dict[Exchange, None]] = {}

    def __len__(self) -> int:
        return len(self._services)

    def admit(self, exchange: Exchange, service: Service) -> bool:
        """Let it wait; False when there is no room."""
        if len(self._services) >= MAX_PARKED:
            return False
        self._services[exchange] = service
        self._exchanges.setdefault(service, {})[exchange] = None
        return True

    def leave(self, exchange: Exchange) -> bool:
        """It waits no more; False when it did not."""
        service = self._services.pop(exchange, None)
        if service is None:
            return False
        waiting = self._exchanges[service]
        del waiting[exchange]
        if not waiting:
            del self._exchanges[service]
        return True

    def waiting_for(self, service: Service) -> list[Exchange]:
        """Those that wait for this Service, the first one first."""
        return list(self._exchanges.get(service, ()))
