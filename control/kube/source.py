"""All kinds of a cluster, followed at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from random import Random
from time import monotonic
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from control.index.change import Change
from control.kube.metrics import KubeCollector, Sample
from control.kube.mirror import Mirror
from control.kube.pool import Pool
from control.kube.reflector import Api, KindState, Reflector
from control.kube.resources import WATCHED
from control.model.objects import Key

__all__ = ["KindState", "Refused", "Source"]

log = logging.getLogger(__name__)

MAX_NAMED = 100
"""Of the objects that are not understood, of each kind."""


class Refused(NamedTuple):
    """An object that was not understood, or not all of it."""

    kind: str
    key: Key
    message: str


class Source:
    """`on_ready()` is called once, when every kind is listed; from then on `on_changes(changes)` with what is new.

    Both are called on the running loop. Whatever the API server does, nothing is given up that it did not say is gone.
    """

    def __init__(
        self,
        api: Api,
        mirror: Mirror,
        *,
        on_ready: Callable[[], None],
        on_changes: Callable[[list[Change]], None],
        registry: CollectorRegistry,
        rng: Random,
    ) -> None:
        self.is_ready = False
        """Whether every kind was listed; one whose CRD is not installed counts as listed, and empty."""
        self._on_ready = on_ready
        self._on_changes = on_changes
        self._mirror = mirror
        pool, turn = Pool(), asyncio.Lock()
        self._reflectors = [
            Reflector(
                watched,
                api,
                mirror,
                pool=pool,
                turn=turn,
                deliver=self._deliver,
                on_listed=self._on_listed,
                on_back=self._on_back,
                rng=rng,
            )
            for watched in WATCHED
        ]
        self._began_at = monotonic()
        registry.register(KubeCollector(self._samples))

    async def run(self) -> None:
        """Follow all kinds until cancelled."""
        self._began_at = monotonic()
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run())

    @property
    def kinds(self) -> list[KindState]:
        return [reflector.state() for reflector in self._reflectors]

    @property
    def refused(self) -> list[Refused]:
        """Objects that cannot be taken and count as absent: MAX_NAMED of each kind; KindState has their number."""
        return list(self._named(lambda reflector: reflector.refused))

    @property
    def ignored(self) -> list[Refused]:
        """Objects of which something is not known here, or cannot be used, and was left out: MAX_NAMED of each kind."""
        return list(self._named(lambda reflector: reflector.ignored))

    def _named(self, told: Callable[[Reflector], Mapping[Key, str]]) -> Iterator[Refused]:
        for reflector in self._reflectors:
            for key, message in sorted(told(reflector).items())[:MAX_NAMED]:
                yield Refused(reflector.watched.name, key, message)

    def _on_listed(self) -> None:
        if self.is_ready or not all(reflector.is_listed for reflector in self._reflectors):
            return
        counts = ", ".join(f"{state.objects} {state.kind}" for state in self.kinds)
        log.info("all kinds are listed after %.1f s: %s", monotonic() - self._began_at, counts)
        self._on_ready()
        self.is_ready = True

    def _on_back(self) -> None:
        for reflector in self._reflectors:
            reflector.hurry()

    def _deliver(self, changes: list[Change]) -> None:
        if not self.is_ready:
            return
        try:
            self._on_changes(changes)
        except Exception:
            # The API server said it right: to list again would not help, and would stop the other changes too.
            log.exception("%d changes could not be taken: a defect", len(changes))

    def _samples(self) -> Iterator[Sample]:
        for reflector in self._reflectors:
            state = reflector.state()
            yield Sample(
                state.kind,
                state.is_listed,
                state.heard_age_s,
                state.refused,
                reflector.reflection.events,
                reflector.reflection.lists,
                reflector.counts,
            )
