"""A scenario's changes, carried out when they are due."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from loadtest.scenario.model import Change, Replace, Scenario
from loadtest.stage.instances import Instances
from loadtest.stage.workers import Workers
from loadtest.subjects.subject import Subject


class Changes:
    """Replacements and the control plane's absence; `began` is the moment of the run's start (monotonic)."""

    def __init__(self, scenario: Scenario, subject: Subject, instances: Instances, workers: Workers) -> None:
        self._scenario = scenario
        self._subject = subject
        self._instances = instances
        self._workers = workers
        self._telling = asyncio.Lock()

    async def carry_out(self, began: float) -> list[Exception]:
        """Returns when all were due: why some failed, which does not keep the others from their time."""
        doing = (self._one(change, began + change.at) for change in self._scenario.changes)
        found = await asyncio.gather(*doing, return_exceptions=True)
        return [error for error in found if isinstance(error, Exception)]

    async def _one(self, change: Change, at: float) -> None:
        await asyncio.sleep(max(0.0, at - monotonic()))
        if change.replace is not None:
            await self._replace(change.replace)
        elif change.control_plane == "away":
            await self._in_turn(self._subject.lose_control_plane)
        else:
            await self._in_turn(self._subject.regain_control_plane)

    async def _replace(self, replace: Replace) -> None:
        origin = replace.origin or self._scenario.first_origin
        new = await self._instances.open(origin)
        self._instances.now[origin].append(new)
        await self._in_turn(self._tell)

        def retire() -> None:
            self._instances.retire(origin, replace.instance, replace.grace)

        async def forget() -> None:
            self._instances.now[origin] = [
                each for each in self._instances.now[origin] if each.number != replace.instance
            ]
            await self._tell()

        if replace.told == "before":
            await self._in_turn(forget)
            await asyncio.sleep(replace.lead)
            retire()
        else:
            retire()
            await asyncio.sleep(replace.lead)
            await self._in_turn(forget)

    async def _in_turn(self, act: Callable[[], Awaitable[None]]) -> None:
        """One thing at a time is told to a subject: its files and its control plane are one."""
        async with self._telling:
            await act()

    async def _tell(self) -> None:
        self._workers.retarget(await self._subject.update(self._instances.now))
