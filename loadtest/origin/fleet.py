"""All instances of a scenario's origins in one process."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from time import process_time

from loadtest.messages import Open, Retire, Serve, Take, Taken, Traffic
from loadtest.origin.clock import Clock
from loadtest.origin.instance import Instance, Run
from loadtest.origin.site import Site
from loadtest.scenario.model import Scenario


class FleetError(Exception):
    """An order that cannot be carried out; the message says why."""


class Fleet:
    """Instances by origin and number. `on_trouble` is told what ended one of them for good."""

    def __init__(self, serve: Serve, scenario: Scenario, on_trouble: Callable[[str], None]) -> None:
        self._serve = serve
        self._scenario = scenario
        self._on_trouble = on_trouble
        self.clock = Clock(asyncio.get_running_loop())
        self._run = Run(serve.run, serve.bin_s, self.clock)
        self._sites: dict[tuple[str, int], Site] = {}
        # One for all instances of an origin: 200 of them with 64 MiB each would not fit.
        self._bodies = {name: bytes(b"." * origin.body) for name, origin in scenario.origins.items()}
        self._cpu_s = 0.0

    async def open_all(self) -> None:
        """Every instance of Serve, numbered from 1."""
        for origin, addresses in self._serve.addresses.items():
            for number, address in enumerate(addresses, 1):
                await self.open(Open(origin, number, address))
        # What is there now stays; later collections need not look at it.
        gc.collect()
        gc.freeze()

    async def open(self, order: Open) -> None:
        """One more instance; FleetError, or SiteError when its address cannot be had."""
        key = (order.origin, order.instance)
        if order.origin not in self._bodies:
            raise FleetError(f"there is no origin {order.origin!r}; allowed: {', '.join(self._bodies)}")
        if key in self._sites:
            raise FleetError(f"there was an instance {order.instance} of {order.origin} already")
        instance = Instance(order.origin, order.instance, self._scenario, self._run, self._bodies[order.origin])
        site = Site(instance, order.address, self._serve.port, self._run, self._on_trouble)
        await site.open()
        self._sites[key] = site

    def start(self, at: float) -> None:
        """The run begins at this moment (monotonic)."""
        self._run.at = at
        self._cpu_s = process_time()
        for site in self._sites.values():
            site.look()

    def retire(self, order: Retire) -> None:
        site = self._sites.get((order.origin, order.instance))
        if site is None:
            raise FleetError(f"there is no instance {order.instance} of {order.origin}")
        site.retire(order.grace_s)

    def take(self, order: Take) -> Taken:
        ledger = self._run.ledger
        told = ledger.take(order.chunks)
        if order.rest:
            told += ledger.take_rest()
        return Taken(told, ledger.take_unknown())

    def traffic(self) -> Traffic:
        """What all of them saw since the last time."""
        instances = [site.instance for site in self._sites.values()]
        return Traffic(
            [cell for instance in instances for cell in instance.take()],
            sum(instance.working for instance in instances),
            process_time() - self._cpu_s,
        )

    def end(self) -> None:
        for site in self._sites.values():
            site.end()
        self.clock.close()
