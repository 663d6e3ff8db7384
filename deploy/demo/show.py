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
from deploy.demo.pods import show
from deploy.demo.tally import Tally
from deploy.demo.watch import Change, Watch

ROUND_S = 60.0
"""All acts together, when there is no end."""
LOOK_S = 0.5
LAST_S = 5.0
"""How long the users may take to leave."""
REMEMBERED = 64
"""Acts whose beginnings are kept, for answers that come late."""


class Audience(Protocol):
    """Whom the performance is for."""

    def on_act(self, act: Act) -> None:
        """An act begins."""

    def on_look(self, show: Show) -> None:
        """The sidecars were looked at: `show.change` is new."""

    def on_end(self, show: Show) -> None:
        """An act has ended, of which there was at least one look."""


class Show:
    """Runs once. `act`, `tally` (what its users have seen) and `change` are of the act that is on."""

    def __init__(self, cluster: Cluster, directory: Path, audience: Audience) -> None:
        self.cluster = cluster
        self.records = {act.word: Record(act) for act in ACTS}
        self.act = ACTS[0]
        self.tally = Tally()
        self.change: Change | None = None
        self._began: deque[tuple[float, Act]] = deque(maxlen=REMEMBERED)
        self._watch = Watch(list(cluster.pods.values()))
        self._log = directory / "users.log"
        self._audience = audience

    @property
    def has_users(self) -> bool:
        """The first act has begun."""
        return bool(self._began)

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
            self._started = time.monotonic()
            end = self._started
            for act in _program(seconds):
                end += act.share * (seconds or ROUND_S)
                await self._perform(act, end)
        finally:
            await self._dismiss(listening)

    async def _perform(self, act: Act, end: float) -> None:
        base = await self._watch.look()
        self.act, self.tally, self.change = act, Tally(), None
        self._began.append((time.monotonic(), act))
        self._audience.on_act(act)
        await self._afflict(act)
        was_ejected = False
        try:
            while (left := end - time.monotonic()) > 0:
                await asyncio.sleep(min(LOOK_S, left))
                self.cluster.check()
                self._users.check()
                self.change = Change.between(base, await self._watch.look())
                was_ejected = was_ejected or self.change.is_ejected(act.victim)
                self._audience.on_look(self)
        finally:
            if self.change is not None:
                self.records[act.word].close(self.change, was_ejected)
                self._audience.on_end(self)
        await self._heal(act)

    async def _afflict(self, act: Act) -> None:
        if act.trouble is Trouble.KILLED:
            self.cluster.kill_pod(self.cluster.pods[act.victim])
        elif act.trouble is not Trouble.NONE:
            await self.cluster.set_mood(self.cluster.pods[act.victim], act.trouble.value)

    async def _heal(self, act: Act) -> None:
        if act.trouble is Trouble.KILLED:
            self.cluster.start_pod(self.cluster.pods[act.victim])
        elif act.trouble is not Trouble.NONE:
            await self.cluster.set_mood(self.cluster.pods[act.victim], "well")

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
