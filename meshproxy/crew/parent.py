"""The parent of several workers: it has the configuration and the admin address, they have the traffic.

To the rest of the sidecar a `Crew` looks like one `Worker`. What is shared and what is not:

- **Shared**: the listeners' ports (SO_REUSEPORT: the kernel spreads connections), the push stream, the admin address,
  the metrics (`totals.py`), standard output for the access log.
- **Per worker**: connections to endpoints and their pools, latency averages, ejection, circuit breakers, what listeners
  take. A retry budget's part of requests is a part of each worker's own; its least rate is divided among them.

A worker that ends or falls silent is started anew, gets the whole configuration, and only then listens; the others do
not notice. Workers live no longer than their parent: the end of the link makes them drain.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING

from meshproxy.crew import message as say
from meshproxy.crew.member import Member
from meshproxy.crew.rows import Gathering
from meshproxy.crew.state import decode
from meshproxy.crew.totals import Totals
from meshproxy.kit import log as process_log
from meshproxy.kit.aio.slices import in_slices
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.kit.backoff import backoff
from meshproxy.metrics import process
from meshproxy.metrics.events import Events
from meshproxy.metrics.lag import LoopLag
from meshproxy.wire.change import Change, Outlook
from meshproxy.wire.stream import MAX_NAMES
from meshproxy.worker import load_identities

if TYPE_CHECKING:
    from meshproxy.admin.view import EndpointRow
    from meshproxy.config import Address, Settings
    from meshproxy.metrics.slots import Registry
    from meshproxy.proxy.stack import Want
    from meshproxy.wire.snapshot import Entry

log = logging.getLogger(__name__)

BACKOFF_BASE_S = 0.1
BACKOFF_CAP_S = 5.0
STEADY_S = 30.0
"""A worker that has lived so long begins its backoff anew when it ends."""
TICK_S = 1.0
SILENT_TICKS = 5
"""Workers say something every second; one that is silent for so many of the parent's own ticks is killed. Counted in
ticks, so that a machine which was suspended as a whole does not lose all of them."""
YOUNG_TICKS = 30
"""The same before its first word: to import takes a second, on a busy machine more."""
DRAIN_GRACE_S = 5.0
"""Past the drain's own time, before what is left is killed."""
MAX_ABSENT = MAX_NAMES
"""Names that are known not to exist; past them the longest known is forgotten: it costs whoever asks a round trip."""
ROWS_S = 2.0
"""How long a report waits for the workers' rows."""


class Crew:
    """All workers of one sidecar. Everything of it runs on one event loop, which carries no traffic."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        """Make it within its running loop. Raises IdentityError: what no worker could use is told at once."""
        load_identities(settings)
        self.settings = settings
        self.registry = registry
        self.events = Events(registry)
        self.entries: dict[str, Entry] = {}
        self.want: Want | None = None
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks(self._loop)
        self._lag = LoopLag(self._loop, registry)
        self._sockets: Mapping[str, socket.socket] = {}
        self._reserved: list[Address] = []
        self._absent: dict[str, None] = {}  # the longest known first
        self._number = 0  # of the latest change
        self._applying = asyncio.Lock()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._members: dict[int, Member] = {}
        self._past = Totals()
        self._used: set[str] = set()
        self._gatherings: dict[int, Gathering] = {}
        self._questions = 0
        self._cut = 0
        self._level = settings.log_level
        self._is_ending = False
        self._has_opened = asyncio.Event()
        process.register(registry)
        self._restarts = registry.counter("meshproxy_worker_restarts_total", "Workers that were started anew.")
        registry.gauge("meshproxy_workers", "Workers that accept connections.", read=self._count_open)

    # Configuration.

    async def apply(self, change: Change) -> None:
        """Let a change take effect; returns once it is in effect in every worker that runs.

        A worker that starts meanwhile begins with it; one that ends is not waited for.
        """
        async with self._applying:
            self._keep_in_mind(change)
            self._number += 1
            number = self._number
            followers = [member for member in self._members.values() if member.is_following]
            await in_slices(self._send(change, followers))
        done = self._loop.create_future()
        self._waiting.append((number, done))
        self._settle()
        await done

    def _keep_in_mind(self, change: Change) -> None:
        for name in (*change.removed, *change.forgotten):
            self.entries.pop(name, None)
            self._absent.pop(name, None)
        for entry in change.updated:
            self.entries[entry.name] = entry
            self._absent.pop(entry.name, None)
        self._absent |= dict.fromkeys(change.removed)
        while len(self._absent) > MAX_ABSENT:
            del self._absent[next(iter(self._absent))]

    def _send(self, change: Change, members: list[Member]) -> Generator[None, None, None]:
        for frame in say.parts(change.updated):
            if frame:
                for member in members:
                    member.send_frame(frame)
            yield
        end = say.Apply(number=self._number, removed=change.removed, forgotten=change.forgotten)
        for member in members:
            member.send(end)

    def _settle(self) -> None:
        """Tell those whose change is in effect everywhere."""
        applied = min((one.applied for one in self._members.values() if one.is_following), default=self._number)
        for number, done in self._waiting:
            if number <= applied and not done.done():
                done.set_result(None)
        self._waiting = [(number, done) for number, done in self._waiting if not done.done()]

    # What is there.

    async def rows(self) -> list[EndpointRow]:
        """Endpoints as the workers see them, merged; of a worker that does not answer in time, none."""
        self._questions += 1
        question = self._questions
        members = [member for member in self._members.values() if member.is_open]
        gathering = self._gatherings[question] = Gathering(members)
        for member in members:
            member.send(say.Ask(question))
        try:
            return await gathering.take(ROWS_S)
        finally:
            del self._gatherings[question]

    def used(self) -> set[str]:
        """The Services (NS/NAME) that were called before the last time this was asked; workers are asked anew."""
        used, self._used = self._used, set()
        for member in self._members.values():
            member.send(say.AskUsed())
        return used

    def metrics(self) -> Totals:
        """What all workers have counted, those that have ended included, and the parent's own."""
        totals = Totals()
        totals.add_past(self._past)
        for index, member in sorted(self._members.items()):
            totals.add(decode(member.segment.read()), index)
        totals.add_own(self.registry)
        return totals

    @property
    def is_open(self) -> bool:
        """At least one worker accepts."""
        return any(member.is_open for member in self._members.values())

    # Serving.

    def open(self, sockets: Mapping[str, socket.socket], reserved: Iterable[Address] = ()) -> None:
        """Start the workers. The sockets hold the ports and never listen; workers bind to the same addresses."""
        self._sockets = sockets
        self._reserved = list(reserved)
        for index in range(1, self.settings.workers + 1):
            self._tasks.start(self._keep(index))
        self._tasks.start(self._watch())

    async def opened(self) -> None:
        """Wait until the first worker accepts."""
        await self._has_opened.wait()

    async def drain(self) -> int:
        """End all workers' traffic, each within the settings' time; returns how many exchanges were cut short."""
        self._is_ending = True
        members = list(self._members.values())
        for member in members:
            member.send(say.Drain())
        if members:
            limit = self.settings.drain_s + DRAIN_GRACE_S
            _, late = await asyncio.wait([member.ended for member in members], timeout=limit)
            if late:
                log.error("%d workers did not end in time and are killed", len(late))
        return self._cut

    async def close(self) -> None:
        """Let go of everything; a worker that is left is killed."""
        self._is_ending = True
        members = list(self._members.values())
        for member in members:
            member.kill()
        await asyncio.gather(*(member.ended for member in members))
        await self._tasks.close()
        for member in list(self._members.values()):
            self._fold(member)
        self._settle()
        for sock in self._sockets.values():
            sock.close()
        self._lag.close()

    # One worker.

    async def _keep(self, index: int) -> None:
        """Run the worker of one number, and another one after each that ends."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._run(index)
            except OSError as error:
                log.error("worker %d cannot be started: %s", index, error)  # noqa: TRY400
            if self._is_ending:
                return
            failures = 0 if time.monotonic() - began > STEADY_S else failures + 1
            await asyncio.sleep(backoff(failures, BACKOFF_BASE_S, BACKOFF_CAP_S, random.random))
            if self._is_ending:
                return
            self._restarts.add()

    async def _run(self, index: int) -> None:
        """Start one worker and see it to its end. Raises OSError if it cannot be started."""
        member = self._members[index] = Member(index, self._on_message)
        try:
            await self._bring_up(member)
        except Exception:
            log.exception("worker %d could not be told what to do by a defect", index)
            member.kill()
        status = await member.ended
        self._fold(member)
        self._settle()
        if not self._is_ending:
            log.error("worker %d (pid %d) has ended with status %d", index, member.pid, status)

    async def _bring_up(self, member: Member) -> None:
        places = {direction: sock.getsockname()[:2] for direction, sock in self._sockets.items()}
        await member.connect()
        member.send(say.Start(worker=member.index, settings=self.settings, places=places, reserved=self._reserved))
        member.send(say.Level(self._level))
        async with self._applying:
            everything = Change(list(self.entries.values()), list(self._absent), [])
            await in_slices(self._send(everything, [member]))
            member.is_following = True
        member.send(say.Open())
        if self._is_ending:
            member.send(say.Drain())

    def _fold(self, member: Member) -> None:
        """Keep what a worker that has ended had counted."""
        self._past.fold(decode(member.segment.read()))
        member.segment.close()
        del self._members[member.index]
        for gathering in self._gatherings.values():
            gathering.leave(member)

    async def _watch(self) -> None:
        """Kill workers that are silent, and tell all of them when the log's level has changed."""
        while True:
            await asyncio.sleep(TICK_S)
            for member in self._members.values():
                member.silent_ticks += 1
                if member.silent_ticks >= (SILENT_TICKS if member.has_spoken else YOUNG_TICKS):
                    log.error("worker %d (pid %d) does not answer and is killed", member.index, member.pid)
                    member.kill()
            if process_log.level() != self._level:
                self._level = process_log.level()
                for member in self._members.values():
                    member.send(say.Level(self._level))

    def _on_message(self, member: Member, message: say.ToParent) -> None:
        match message:
            case say.Want():
                self._on_want(member, message)
            case say.Applied():
                member.applied = message.number
                self._settle()
            case say.Opened():
                member.is_open = True
                self._has_opened.set()
                log.info("worker %d (pid %d) accepts", member.index, member.pid)
            case say.Rows():
                if (gathering := self._gatherings.get(message.id)) is not None:
                    gathering.add(member, message)
            case say.Used():
                self._used.update(message.services)
            case say.Drained():
                self._cut += message.cut

    def _on_want(self, member: Member, message: say.Want) -> None:
        outlook = Outlook.ABSENT
        if self.want is not None:
            outlook = self.want(message.namespace, message.name, message.port)
        # What is coming comes as a change.
        if outlook is not Outlook.COMING:
            member.send(say.Verdict(message.namespace, message.name, outlook))

    def _count_open(self) -> list[tuple[tuple[str, ...], float]]:
        return [((), float(sum(member.is_open for member in self._members.values())))]
