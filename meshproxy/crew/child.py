"""A worker's process: `python -m meshproxy.crew.child LINK_FD SEGMENT_FD`, started by its parent and by nobody else."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Generator, Iterable
from itertools import islice

import msgspec
import uvloop

from meshproxy.crew import message as say
from meshproxy.crew.link import Link
from meshproxy.crew.segment import Segment
from meshproxy.crew.state import Publisher
from meshproxy.kit import log as process_log
from meshproxy.kit.aio.slices import in_slices
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.metrics.slots import Registry
from meshproxy.proxy.place import listen
from meshproxy.tls.identity import IdentityError
from meshproxy.wire import names
from meshproxy.wire import resources as wire
from meshproxy.wire.change import Change, Outlook
from meshproxy.wire.snapshot import Entry
from meshproxy.worker import Worker

log = logging.getLogger(__name__)

PUBLISH_S = 0.25
"""What was counted for longer than that has been published, whatever happens to the process."""
BEAT_S = 1.0
ROWS = 500
"""Endpoints in one message."""


class Child:
    """One worker, led by its parent's messages. Those about the configuration are worked off in their order."""

    def __init__(self, sock: socket.socket, segment: Segment) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._registry = Registry()
        self._publisher = Publisher(self._registry, segment)
        self._link = Link(self._on_frame, self._on_parent_gone)
        self._tasks = Tasks(self._loop)
        self._orders: asyncio.Queue[say.ToWorker] = asyncio.Queue()
        self._ending = asyncio.Event()
        self._worker: Worker | None = None
        self._start: say.Start | None = None
        self._loaded: list[Entry] = []
        self._outlooks: dict[tuple[str, str], Outlook] = {}

    async def run(self) -> int:
        """Live until the parent says otherwise, or has gone; 1 after a failure, which is told."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        await self._loop.create_unix_connection(lambda: self._link, sock=self._sock)
        work = self._tasks.start(self._work())
        self._tasks.start(self._beat())
        ending = self._tasks.start(self._until_ending())
        await asyncio.wait((work, ending), return_when=asyncio.FIRST_COMPLETED)
        cut = await self._worker.drain() if self._worker is not None and ending.done() else 0
        if cut:
            log.warning("the drain's time is over: %d exchanges are cut short", cut)
        await self._tasks.close()
        if self._worker is not None:
            await self._worker.close()
        for _ in self._publisher.steps():
            pass
        self._link.send(say.encode(say.Drained(cut)))
        self._link.close()
        return 0 if ending.done() else 1

    async def _until_ending(self) -> None:
        await self._ending.wait()

    # What the parent says.

    def _on_frame(self, frame: bytes) -> None:
        message = say.decode_to_worker(frame)
        match message:
            case say.Verdict():
                self._tasks.start(self._on_verdict(message))
            case say.Ask():
                self._tasks.start(self._tell_rows(message.id))
            case say.AskUsed():
                self._say(say.Used(sorted(self._worker.used()) if self._worker is not None else []))
            case say.Level():
                process_log.set_level(message.word)
            case say.Drain():
                self._ending.set()
            case _:
                self._orders.put_nowait(message)

    def _on_parent_gone(self) -> None:
        if not self._ending.is_set():
            log.warning("the parent has gone: draining")
            self._ending.set()

    async def _work(self) -> None:
        """Work off orders until one fails."""
        try:
            while True:
                await self._obey(await self._orders.get())
        except IdentityError as error:
            log.error("cannot start: %s", error)  # noqa: TRY400 - a sentence for the operator, no traceback
        except OSError as error:
            log.error("cannot start: %s", error.strerror or error)  # noqa: TRY400

    async def _obey(self, order: say.ToWorker) -> None:
        if isinstance(order, say.Start):
            self._begin(order)
            return
        worker, start = self._worker, self._start
        assert worker is not None
        assert start is not None
        match order:
            case say.Load():
                await in_slices(self._load(order.pieces, start.settings.workers))
            case say.Apply():
                entries, self._loaded = self._loaded, []
                self._learn(entries, order)
                await worker.apply(Change(entries, order.removed, order.forgotten))
                self._say(say.Applied(order.number))
            case say.Open():
                sockets = {way: listen(place, is_shared=True) for way, place in start.places.items()}
                worker.open(sockets, start.reserved)
                self._say(say.Opened())

    def _begin(self, start: say.Start) -> None:
        # Lines of several processes meet on one standard error.
        for handler in logging.getLogger(__package__.partition(".")[0]).handlers:
            handler.addFilter(Mark(start.worker))
        self._start = start
        self._worker = Worker(start.settings, self._registry)
        # From a file nothing is coming: what is not known does not exist.
        if start.settings.control:
            self._worker.want = self._want
        self._tasks.start(self._publish())

    def _load(self, pieces: Iterable[say.Piece], workers: int) -> Generator[None, None, None]:
        for piece in pieces:
            self._loaded.append(share_of(say.entry_of(piece), workers))
            yield

    def _learn(self, entries: Iterable[Entry], order: say.Apply) -> None:
        """Remember which Services do not exist, so that the parent need not be asked for them at each request."""
        for name in (*order.forgotten, *(entry.name for entry in entries)):
            if (service := _service(name)) is not None:
                self._outlooks.pop(service, None)
        for name in order.removed:
            if (service := _service(name)) is not None:
                self._outlooks[service] = Outlook.ABSENT

    # Services that are not known.

    def _want(self, namespace: str, name: str, port: int | None) -> Outlook:
        outlook = self._outlooks.get((namespace, name))
        if outlook is None:
            self._say(say.Want(namespace, name, port))
            return Outlook.COMING
        return outlook

    async def _on_verdict(self, verdict: say.Verdict) -> None:
        """Answer those who wait; the next request asks again."""
        service = (verdict.namespace, verdict.name)
        outbound = self._worker.outbound if self._worker is not None else None
        if outbound is None or service in self._outlooks:
            return
        self._outlooks[service] = verdict.outlook
        try:
            await in_slices(outbound.resume(Change([], [f"service/{verdict.namespace}/{verdict.name}"], [])))
        finally:
            # Unless a change has said something meanwhile.
            if self._outlooks.get(service) is verdict.outlook:
                del self._outlooks[service]

    # What the parent hears.

    def _say(self, message: say.ToParent) -> None:
        self._link.send(say.encode(message))

    async def _tell_rows(self, question: int) -> None:
        rows = iter(self._worker.endpoints()) if self._worker is not None else iter(())
        is_last = False
        while not is_last:
            some = list(islice(rows, ROWS))
            is_last = len(some) < ROWS
            self._say(say.Rows(id=question, rows=some, is_last=is_last))
            await asyncio.sleep(0)

    async def _beat(self) -> None:
        while True:
            self._say(say.Beat())
            await asyncio.sleep(BEAT_S)

    async def _publish(self) -> None:
        while True:
            await in_slices(self._publisher.steps())
            await asyncio.sleep(PUBLISH_S)


class Mark(logging.Filter):
    """Puts the worker's number before each message."""

    def __init__(self, worker: int) -> None:
        super().__init__()
        self._text = f"worker {worker}: "

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._text + str(record.msg)
        return True


def share_of(entry: Entry, workers: int) -> Entry:
    """The entry as one of several workers takes it: what is a rate for all of them is divided."""
    backend = entry.resource
    if not isinstance(backend, wire.Backend):
        return entry
    budget = backend.retry_budget
    share = msgspec.structs.replace(budget, min_per_s=budget.min_per_s / workers)
    return msgspec.structs.replace(entry, resource=msgspec.structs.replace(backend, retry_budget=share))


def _service(name: str) -> tuple[str, str] | None:
    parsed = names.parse(name)
    return (parsed.namespace, parsed.name) if parsed.kind == "service" else None


def main() -> int:
    link_fd, segment_fd = map(int, sys.argv[1:])
    process_log.start("info")
    sock = socket.socket(fileno=link_fd)
    sock.setblocking(False)

    async def run() -> int:
        return await Child(sock, Segment(segment_fd)).run()

    return uvloop.run(run())


if __name__ == "__main__":
    sys.exit(main())
