"""The performance: act after act, before users who should notice nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from deploy.demo.acts import ACTS, Act, Record, Trouble
from deploy.demo.child import Child, python
from deploy.demo.cluster import Cluster
from deploy.demo.pods import Pod, show
from deploy.demo.tally import Tally
from deploy.demo.watch import Change, Watch

ROUND_S = 120.0
"""All acts together, when there is no end: long enough for a bad average to fade before its instance is on again."""
LOOK_S = 0.5
LAST_S = 5.0
"""How long the users may take to leave."""
REMEMBERED = 64
"""Acts whose beginnings are kept, for answers that come late."""


class Audience(Protocol):
    """Whom the performance is for."""

    def on_act(self, show: Show) -> None:
        """An act begins."""

    def on_look(self, show: Show) -> None:
        """The sidecars were looked at: `show.change` is new."""

    def on_end(self, show: Show) -> None:
        """An act has ended, of which there was at least one look."""


class Show:
    """Runs once. Its open attributes are those of the act that is on, `tally` what its users have seen."""

    def __init__(self, cluster: Cluster, directory: Path, audience: Audience) -> None:
        self.cluster = cluster
        self.records = {act.word: Record(act) for act in ACTS}
        self.act = ACTS[0]
        self.title = self.watch_for = ""
        self.victim: Pod | None = None
        self.tally = Tally()
        self.change: Change | None = None
        self._began: deque[tuple[float, Act]] = deque(maxlen=REMEMBERED)
        self._watch = Watch(list(cluster.pods.values()))
        self._log = directory / "users.log"
        self._audience = audience

    @property
    def has_users(self) -> bool:
        """Somebody has had an answer, or has waited for one in vain."""
        return any(record.tally.requests for record in self.records.values())

    @property
    def elapsed_s(self) -> float:
        """Since the first act began."""
        return time.monotonic() - self._started

    async def run(self, seconds: float | None) -> None:
        """Perform for so long, or without end. Cancelled, it lets the users leave as well. Raises DemoError."""
        self._users = Child(
            "the users", python("deploy.demo.users", show(self.cluster.front.inbound)), self._log, piped=True
        )
        listening = asyncio.create_task(self._listen())
        try:
            self._before = self._last = await self._watch.look()
            self._started = time.monotonic()
            end = self._started
            for act in _program(seconds):
                end += act.share * (seconds or ROUND_S)
                await self._perform(act, end)
        finally:
            await self._dismiss(listening)

    async def _perform(self, act: Act, end: float) -> None:
        base, victim = self._last, self._choose(act)
        former = self.victim.name if self.victim else ""
        names = {"victim": victim.name if victim else "", "former": former}
        self.act, self.victim, self.tally = act, victim, Tally()
        self.title, self.watch_for = act.title.format(**names), act.watch_for.format(**names)
        self._began.append((time.monotonic(), act))
        self._audience.on_act(self)
        await self._afflict()
        is_ejected, change = False, None
        try:
            while (left := end - time.monotonic()) > 0:
                await asyncio.sleep(min(LOOK_S, left))
                self.cluster.check()
                self._users.check()
                await self._look()
                change = self.change = Change.between(base, self._last)
                is_ejected = is_ejected or names["victim"] in change.ejected
                self._audience.on_look(self)
        finally:
            if change is not None:
                self.records[act.word].close(names["victim"], change, is_ejected)
                self._audience.on_end(self)
        await self._heal()

    async def _look(self) -> None:
        self._before, self._last = self._last, await self._watch.look()

    def _choose(self, act: Act) -> Pod | None:
        """The instance that has just had the most requests: one in little use would not be missed."""
        if act.trouble is Trouble.NONE:
            return None
        requests = Change.between(self._before, self._last).requests_of(act.service)
        return self.cluster.pods[max(requests, key=lambda name: requests[name])]

    async def _afflict(self) -> None:
        if self.victim is None:
            return
        if self.act.trouble is Trouble.KILLED:
            self.cluster.kill_pod(self.victim)
        else:
            await self.cluster.set_mood(self.victim, self.act.trouble.value)

    async def _heal(self) -> None:
        if self.victim is None:
            return
        if self.act.trouble is Trouble.KILLED:
            self.cluster.start_pod(self.victim)
        else:
            await self.cluster.set_mood(self.victim, "well")

    async def _listen(self) -> None:
        """Count what users tell, for the act in which each request began."""
        lines = await self._users.lines()
        while line := await lines.readline():
            for start, latency_s, failure in json.loads(line):
                began, act = next((entry for entry in reversed(self._began) if entry[0] <= start), self._began[0])
                self.records[act.word].tally.add(latency_s, failure)
                if began == self._began[-1][0]:
                    self.tally.add(latency_s, failure)

    async def _dismiss(self, listening: asyncio.Task[None]) -> None:
        """Let the users leave, and hear what they say at the end."""
        self._users.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_S):
                await listening
        self._users.kill()


def _program(seconds: float | None) -> Iterator[Act]:
    return iter(ACTS) if seconds else itertools.cycle(ACTS)
