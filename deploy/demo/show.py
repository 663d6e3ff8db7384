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

from deploy.demo.acts import ACTS, Act, Deed, Record
from deploy.demo.canary import Canary
from deploy.demo.child import Child, DemoError, python
from deploy.demo.cluster import Cluster
from deploy.demo.deeds import Deeds
from deploy.demo.pods import Pod, show
from deploy.demo.tally import Tally
from deploy.demo.watch import Change, Watch

ROUND_S = 120.0
"""All acts together, when there is no end: long enough for a bad average to fade before its instance is on again."""
LOOK_S = 0.5
SOON_S = 0.15
"""The second look at other weights, from which on is counted."""
LEAST_S = 0.8
"""Every act goes on for so long after its deed: time for looks that can be compared."""
POLL_S = 0.05
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
        self.canary = Canary()
        self._away_since: float | None = None
        self._began: deque[tuple[float, Act]] = deque(maxlen=REMEMBERED)
        self._watch = Watch(cluster.pods, cluster.plane)
        self._deeds = Deeds(cluster)
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

    @property
    def away_s(self) -> float | None:
        """For how long the control plane has not answered, None while it does."""
        return None if self._away_since is None else time.monotonic() - self._away_since

    async def run(self, seconds: float | None) -> None:
        """Perform for so long, or without end. Cancelled, it lets the users leave as well. Raises DemoError."""
        self._users = Child(
            "the users", python("deploy.demo.users", show(self.cluster.front.inbound)), self._log, piped=True
        )
        self._began.append((time.monotonic(), ACTS[0]))
        listening = asyncio.create_task(self._listen())
        try:
            while not self.has_users:
                self._users.check()
                await asyncio.sleep(POLL_S)
            self._last = await self._watch.look()
            await self._look()
            self._started = time.monotonic()
            for act, span_s in _program(seconds, self._started):
                await self._perform(act, span_s)
        finally:
            await self._dismiss(listening)

    async def _perform(self, act: Act, span_s: float) -> None:
        """Let an act last so long, or as long as its deed takes."""
        base, victim = self._last, self._choose(act)
        newcomer = victim.successor(self.cluster.pods) if victim and act.deed is Deed.REPLACE else None
        pods = {"former": self.victim, "victim": victim, "newcomer": newcomer}
        names = {role: pod.name if pod else "nobody" for role, pod in pods.items()}
        self.act, self.victim, self.tally = act, victim, Tally()
        self.title, self.watch_for = act.title.format(**names), act.watch_for.format(**names)
        end = time.monotonic() + span_s
        self._began.append((time.monotonic(), act))
        self._audience.on_act(self)
        deed = asyncio.create_task(self._do(act, victim, newcomer, span_s))
        is_ejected, change = False, None
        try:
            while not deed.done() or time.monotonic() < end:
                if deed.done():
                    pause_s = LOOK_S if self.canary.has_base else SOON_S
                    await asyncio.sleep(min(pause_s, max(0.0, end - time.monotonic())))
                else:
                    await asyncio.wait({deed}, timeout=LOOK_S)
                    end = max(end, time.monotonic() + LEAST_S)
                if deed.done():
                    deed.result()
                self.cluster.check()
                self._users.check()
                await self._look()
                change = self.change = Change.between(base, self._last)
                is_ejected = is_ejected or names["victim"] in change.ejected
                self._audience.on_look(self)
        finally:
            note = await _result(deed)
            if change is not None:
                share = self.canary.share
                self.records[act.word].close(names["victim"], change, note, share, is_ejected=is_ejected)
                self._audience.on_end(self)
        await self._deeds.undo(act, victim)

    async def _do(self, act: Act, victim: Pod | None, newcomer: Pod | None, span_s: float) -> str:
        if act.deed is Deed.SHIFT and self.canary.asked == act.percent / 100:
            return ""
        return await self._deeds.do(act, victim, newcomer, span_s)

    async def _look(self) -> None:
        self._before, self._last = self._last, await self._watch.look()
        self.canary.take(self._last.asked, self._last.lanes)
        if self._last.plane is not None:
            self._away_since = None
        elif self._away_since is None:
            self._away_since = self._last.at

    def _choose(self, act: Act) -> Pod | None:
        """The instance that has just had the most requests: one in little use would not be missed."""
        if not act.service:
            return None
        requests = Change.between(self._before, self._last).requests_of(act.service)
        return self.cluster.pods[max(requests, key=lambda name: requests[name])] if requests else None

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


async def _result(deed: asyncio.Task[str]) -> str:
    """What a deed came to; one that is not done is given up."""
    deed.cancel()
    with suppress(asyncio.CancelledError, DemoError):
        return await deed
    return "not done"


def _program(seconds: float | None, began: float) -> Iterator[tuple[Act, float]]:
    """The acts, and how long each is to last: its share of the time that is left."""
    if seconds is None:
        yield from ((act, act.share * ROUND_S) for act in itertools.cycle(ACTS))
        return
    for n, act in enumerate(ACTS):
        left = began + seconds - time.monotonic()
        yield act, max(0.0, left * act.share / sum(later.share for later in ACTS[n:]))
