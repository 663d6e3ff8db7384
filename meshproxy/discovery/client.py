"""The sidecar's side of the push stream: one stream to one of several control planes, and what comes of it.

One task deals with everything in turn (messages, what is due, what is wanted), so that changes take effect in the order
in which the store made them; another one sees to it that there is a stream. Without one, what is held stays in effect.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from meshproxy import __version__
from meshproxy.config import Settings
from meshproxy.discovery.answers import Answers
from meshproxy.discovery.events import StreamEvents
from meshproxy.discovery.messages import greeting, subscriptions
from meshproxy.discovery.saved import Identity, Keeper, Saved
from meshproxy.discovery.store import Store, Taken
from meshproxy.discovery.stream import Stream, StreamClosed, open_stream
from meshproxy.kit.aio.slices import in_slices
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.kit.stamp import stamp
from meshproxy.kit.throttle import Throttle
from meshproxy.metrics.slots import Registry
from meshproxy.wire.change import Change, Outlook
from meshproxy.wire.problem import Problem
from meshproxy.wire.stream import Ack, Ask, Nack, Node, StreamError, decode_from_control, encode

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 10.0
"""Between two attempts: full jitter below a bound that doubles from the first to the longest."""
DEFECT_PAUSE_S = 1.0
"""After a defect of our own, which may come again at once."""
LIVED_S = 5.0
"""A stream that lasted so long was none of the failures in a row."""
MAX_TOLD = 100
"""Names and problems told to the admin server."""
_POLICY_VIOLATION = 1008
_GOING_AWAY = 1001
_DEFECT = 1011


class Discovery:
    """Configuration by the push stream. Made, started and closed within the running loop.

    `apply` lets a change take effect, `answer(word)` gives what admin serves under `config`, `endpoints` or `metrics`,
    `tls` the context of `wss` connections, asked at each.
    """

    def __init__(
        self,
        settings: Settings,
        apply: Callable[[Change], Awaitable[None]],
        answer: Callable[[str], Awaitable[str]],
        registry: Registry,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._apply = apply
        self._tls = tls
        self._urls = random.sample(settings.control, len(settings.control))
        self._next_url = 0
        self._node = Node(
            namespace=settings.namespace,
            service_account=settings.service_account,
            workload=settings.workload,
            version=__version__,
        )
        self._store = Store(
            settings.namespace,
            settings.workload if settings.inbound is not None else "",
            has_outbound=settings.outbound is not None,
        )
        self._events = StreamEvents(registry, self)
        self._keeper: Keeper | None = None
        if settings.state_dir is not None:
            identity = Identity(namespace=settings.namespace, service_account=settings.service_account)
            self._keeper = Keeper(settings.state_dir, identity, self._collect, self._on_saved)
        self._tasks = Tasks(loop)
        self._answers = Answers(answer, self._tasks)
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._fresh: Stream | None = None  # opened, and not greeted yet
        self._stream: Stream | None = None
        self._connected_at = 0.0  # Unix time
        self._failure = ""  # of the last attempt to connect
        self._told: dict[str, str] = {}  # by address: the failure in the log, until there is a stream again
        self._answering: Stream | None = None  # of which a push was taken
        self._heard_at: float | None = None  # monotonic; on the stream before this one
        self._synced_at: float | None = None  # monotonic; when we knew last that we were in sync
        self._is_configured = False
        self._restored_from: float | None = None  # Unix time: how old what was taken from disk is
        self._refused: list[Problem] = []
        self._refusals = Throttle(1.0)

    async def start(self) -> None:
        """Take the last known good, if there is one, and begin to look for a control plane."""
        if self._keeper is not None and (saved := await self._keeper.load()) is not None:
            self._restored_from = saved.synced_at
            self._synced_at = monotonic() - max(0.0, time.time() - saved.synced_at)
            self._is_configured = True
            await self._settle(self._store.restore(saved.entries, saved.used, monotonic()))
            log.info("the last known good is in effect: %d resources", len(self._store.entries()))
        self._tasks.start(self._work())
        self._tasks.start(self._keep_connected())

    async def close(self) -> None:
        """End the stream, and write what is not written yet."""
        await self._tasks.close()
        stream = self._fresh or self._stream
        if stream is not None:
            stream.close(_GOING_AWAY, "the sidecar ends")
            await stream.closed.wait()
        if self._timer is not None:
            self._timer.cancel()
        if self._keeper is not None:
            await self._keeper.close()

    def reload(self) -> None:
        """Do not wait any longer with the next attempt to connect."""
        self._hurry.set()

    def want(self, namespace: str, name: str, port: int | None) -> Outlook:
        """Say what becomes of a Service that is called and not known; what is COMING comes by `apply`, or never."""
        outlook = self._store.want(namespace, name, port, monotonic())
        self._events.wants.add(outlook.value)
        if self._store.is_due:
            self._wake.set()
        return outlook

    def used(self, services: Iterable[str]) -> None:
        """Note which Services (NS/NAME) have traffic, so that they are not taken for idle."""
        keys = [(namespace, name) for namespace, _, name in (service.partition("/") for service in services)]
        self._store.wants.on_traffic(keys, monotonic())

    # What is told

    @property
    def is_connected(self) -> bool:
        return self._stream is not None and self._stream.is_open

    @property
    def is_synced(self) -> bool:
        """Whether everything that was asked for has been answered on the present stream, and taken."""
        return self.is_connected and self._store.is_synced

    @property
    def last_contact(self) -> float | None:
        heard_at = self._stream.heard_at if self._stream is not None else self._heard_at
        return None if heard_at is None else time.time() - (monotonic() - heard_at)

    @property
    def age_s(self) -> float | None:
        self._note_sync()
        return None if self._synced_at is None else max(0.0, monotonic() - self._synced_at)

    @property
    def held(self) -> int:
        return len(self._store.held)

    @property
    def subscriptions(self) -> int:
        return len(self._store.followed)

    def unready(self) -> str:
        """What is waited for; nothing any more once all that was asked for was answered, or with the last known good.

        A resource that is refused is answered: one bad route must not keep every new sidecar from being ready.
        """
        return "" if self._is_configured else f"waiting for the first configuration from {', '.join(self._urls)}"

    def report(self) -> dict[str, object]:
        """The state of the stream, for the admin server; times are RFC 3339."""
        store, stream = self._store, self._stream
        last_contact, age_s = self.last_contact, self.age_s
        return {
            "source": list(self._urls),
            "connected_to": stream.url if stream is not None and self.is_connected else "",
            "connected_at": stamp(self._connected_at) if self.is_connected else None,
            "failure": "" if self.is_connected else self._failure,
            "last_contact_at": None if last_contact is None else stamp(last_contact),
            "is_synced": self.is_synced,
            "configuration_age_s": None if age_s is None else round(age_s, 3),
            "restored_from": None if self._restored_from is None else stamp(self._restored_from),
            "subscriptions": self.subscriptions,
            "unanswered": store.awaited()[:MAX_TOLD],
            "held": sorted(store.held)[:MAX_TOLD],
            "waiting_for": store.waiting()[:MAX_TOLD],
            "refused": [str(problem) for problem in self._refused],
        }

    # Keeping a stream

    async def _keep_connected(self) -> None:
        while True:
            retrying = AsyncRetrying(
                retry=retry_if_exception_type(),
                wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
                sleep=self._pause,
            )
            await retrying(self._hold_stream)
            # All sidecars of a control plane that ends come at once to the next one.
            await self._pause(random.uniform(0.0, FIRST_WAIT_S))  # noqa: S311 - spread, no secret

    async def _hold_stream(self) -> None:
        """Open a stream and wait for its end. Raises StreamClosed if that came soon."""
        url = self._urls[self._next_url % len(self._urls)]
        self._next_url += 1
        try:
            stream = await open_stream(url, self._tls() if self._tls is not None else None, self._wake.set)
        except StreamClosed as error:
            self._events.connects.add("failed")
            self._tell_failure(url, str(error))
            raise
        except Exception:
            log.exception("connecting to %s failed by a defect", url)
            self._events.connects.add("failed")
            raise
        self._events.connects.add("opened")
        opened_at = monotonic()
        self._fresh = stream
        self._wake.set()
        await stream.closed.wait()
        self._tell_failure(url, stream.ended)
        if monotonic() - opened_at < LIVED_S:
            raise StreamClosed(stream.ended)

    async def _pause(self, seconds: float) -> None:
        self._hurry.clear()
        try:
            await asyncio.wait_for(self._hurry.wait(), seconds)
        except TimeoutError:
            return

    def _tell_failure(self, url: str, text: str) -> None:
        """Log it, but not the same of one address again and again: an outage may last for a night."""
        self._failure = f"{url}: {text}"
        if self._told.get(url) != text:
            self._told[url] = text
            log.warning("no control plane: %s; what is in effect stays", self._failure)

    def _on_answering(self, stream: Stream) -> None:
        """The stream is of use: it did not end as it was greeted."""
        self._answering = stream
        self._told.clear()
        log.info("connected to %s", stream.url)

    # Dealing with what comes

    async def _work(self) -> None:
        while True:
            try:
                await self._step()
            except Exception:
                log.exception("discovery met a defect; the stream begins anew")
                if self._stream is not None:
                    self._stream.close(_DEFECT, "the sidecar met a defect")
                await asyncio.sleep(DEFECT_PAUSE_S)
            # Whatever there is still to do, others have their turn.
            await asyncio.sleep(0)

    async def _step(self) -> None:
        """Do the next thing that there is to do, or wait for one."""
        self._note_sync()
        stream = self._stream
        if stream is not None and not stream.is_open:
            self._part(stream)
        elif self._is_due():
            await self._settle(self._store.on_time(monotonic()))
        elif self._fresh is not None:
            self._greet(self._fresh)
        elif stream is not None and stream.messages:
            await self._on_message(stream, stream.receive())
        else:
            await self._rest()

    async def _rest(self) -> None:
        """Wait until something happens, or is due."""
        self._wake.clear()
        at = self._store.next_at()
        if at is not None:
            self._timer = self._loop.call_later(max(0.001, at - monotonic()), self._wake.set)
        await self._wake.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_due(self) -> bool:
        at = self._store.next_at()
        return self._store.is_due or (at is not None and at <= monotonic())

    def _greet(self, stream: Stream) -> None:
        self._fresh = None
        self._stream = stream
        if not stream.is_open:
            return
        known, wanted = self._store.begin()
        stream.send(greeting(self._node, known))
        for message in subscriptions([], wanted):
            stream.send(message)
        self._connected_at = time.time()

    def _part(self, stream: Stream) -> None:
        self._heard_at = stream.heard_at
        if self._store.is_synced:
            self._synced_at = stream.heard_at
        self._stream = self._answering = None
        self._store.end()

    async def _on_message(self, stream: Stream, data: bytes) -> None:
        try:
            message = decode_from_control(data)
        except StreamError as error:
            stream.close(_POLICY_VIOLATION, f"a message is not understood: {error}")
            return
        if isinstance(message, Ask):
            self._answers.on_ask(message, stream)
            return
        taken = await in_slices(self._store.take_steps(message, monotonic()))
        is_applied = await self._settle(taken)
        if taken.problems:
            self._events.pushes.add("refused")
            self._refuse(stream, message.nonce, taken.problems)
        elif not is_applied:
            self._events.pushes.add("failed")
            stream.send(encode(Nack(nonce=message.nonce, problems=[Problem("", "", "took no effect by a defect")])))
        else:
            self._events.pushes.add("taken")
            self._refused = self._still_refused()
            if self._answering is not stream:
                self._on_answering(stream)
            stream.send(encode(Ack(nonce=message.nonce, waiting=taken.waiting[:MAX_TOLD])))

    def _still_refused(self) -> list[Problem]:
        return [problem for problem in self._refused if problem.name in self._store.refused]

    def _refuse(self, stream: Stream, nonce: str, problems: list[Problem]) -> None:
        names = {problem.name for problem in problems}
        older = [problem for problem in self._still_refused() if problem.name not in names]
        self._refused = [*problems, *older][:MAX_TOLD]
        suppressed = self._refusals.admit(monotonic())
        if suppressed is not None:
            more = f" (and {suppressed} pushes more)" if suppressed else ""
            log.error("a push of %s is refused, what is in effect stays: %s%s", stream.url, problems[0], more)
        stream.send(encode(Nack(nonce=nonce, problems=problems)))

    async def _settle(self, taken: Taken) -> bool:
        """Ask for what is needed next, and let the change take effect; False if it did not, by a defect."""
        if self._stream is not None and self._stream.is_open:
            for message in subscriptions(taken.unsubscribe, taken.subscribe):
                self._stream.send(message)
            if taken.subscribe:
                self._store.on_subscribed(taken.subscribe)
        if not any(taken.change):
            return True
        try:
            await self._apply(taken.change)
        except Exception:
            log.exception("a change took no effect by a defect; it is tried again with the next one")
            self._store.offer_again(taken.change)
            return False
        if self._is_configured:
            self._save()
        return True

    def _note_sync(self) -> None:
        if self._stream is not None and self.is_synced:
            self._synced_at = self._stream.heard_at
        if not self._is_configured and self.is_connected and self._store.is_answered:
            self._is_configured = True
            self._save()

    # The last known good

    def _save(self) -> None:
        if self._keeper is not None:
            self._keeper.save()

    def _collect(self) -> Saved:
        return Saved(self._store.entries(), self._store.wants.used(), time.time() - (self.age_s or 0.0))

    def _on_saved(self, failure: str) -> None:
        self._events.saves.add("failed" if failure else "saved")
