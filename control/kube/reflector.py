"""Follows one kind: lists it, watches it, and tries again, by turns, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from random import Random
from time import monotonic
from typing import Protocol

from msgspec import Struct
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from control.index.change import Change
from control.kube.events import Decoder, Garbage
from control.kube.failure import KubeError
from control.kube.lines import Lines, LineTooLongError
from control.kube.metrics import Counts, word_of
from control.kube.mirror import Mirror
from control.kube.pool import Pool
from control.kube.reflection import MISSING_S, Ask, CutOff, Defect, Phase, Reflection, Request, Silence, is_gone
from control.kube.resources import JSON, Watched
from control.kube.served import served_version
from control.model.objects import Key
from meshproxy.kit.throttle import Throttle

log = logging.getLogger(__name__)

SILENT_S = 150.0
"""Bookmarks come about every minute."""
LIST_SILENT_S = 30.0
"""While a list is streamed there is no reason for silence."""
SETTLED_S = 1.0
"""A watch that was resumed and has not failed for so long is believed."""
LOOK_S = 15.0
"""Between two looks for a kind that is not installed."""
WATCH_S = (300, 600)
"""How long a watch is asked to last, by chance: so that not all are opened anew at once."""
LONGEST_ASKED_S = 120.0
"""Of what Retry-After may ask for."""
SLICE_S = 0.003
"""Other things get their turn this often while many objects are taken."""
TELL_S = 60.0
"""What else goes wrong while a kind is lost, and objects that cannot be taken, are logged at most so often."""

_NOTHING: Mapping[str, str] = {}
_BACKOFF = wait_random_exponential(multiplier=0.2, max=30)


class Api(Protocol):
    """What is needed of a client."""

    async def get(
        self, path: str, query: Mapping[str, str] = ..., *, accept: str = ..., timeout_s: float = ...
    ) -> bytes: ...

    def stream(
        self, path: str, query: Mapping[str, str], *, accept: str = ..., idle_s: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]: ...


class KindState(Struct):
    """How a kind is followed. `heard_age_s`: since the server's last word about it; without one, since the start."""

    kind: str
    api_version: str
    phase: Phase
    is_listed: bool
    objects: int
    heard_age_s: float
    failure: str
    refused: int
    ignored: int
    lists: int
    restarts: int


class Reflector:
    """One kind. `deliver(changes)` is given what is new; `on_listed()` is called whenever a list is complete.

    Who takes objects has the `turn`: all kinds are listed at once, and would hold the loop one after the other.
    """

    def __init__(
        self,
        watched: Watched,
        api: Api,
        mirror: Mirror,
        *,
        pool: Pool,
        turn: asyncio.Lock,
        deliver: Callable[[list[Change]], None],
        on_listed: Callable[[], None],
        on_back: Callable[[], None],
        rng: Random,
    ) -> None:
        self.watched = watched
        self.counts = Counts()
        self.reflection = Reflection(watched, mirror, Decoder(watched, pool))
        self._api = api
        self._mirror = mirror
        self._deliver = deliver
        self._on_listed = on_listed
        self._on_back = on_back
        self._hurry = asyncio.Event()
        self._asked_s = 0.0  # of the next wait
        self._turn = turn
        self._rng = rng
        self._name = watched.kind.qualified
        self._began_at = monotonic()
        self._changes: list[Change] = []
        self._slice_at = 0.0
        self._lost_at: float | None = None  # as the log says
        self._lost_by = ""
        self._told = Throttle(TELL_S)
        self._refusals = Throttle(TELL_S)
        self._refused = 0  # as the log says

    @property
    def is_listed(self) -> bool:
        return self.reflection.is_listed

    @property
    def refused(self) -> Mapping[Key, str]:
        """Objects that cannot be taken and count as absent, with the reason."""
        return self.reflection.refused

    @property
    def ignored(self) -> Mapping[Key, str]:
        """Objects of which something was left out, and what."""
        return self.reflection.ignored

    def state(self) -> KindState:
        reflection = self.reflection
        heard_at = reflection.heard_at if reflection.heard_at is not None else self._began_at
        return KindState(
            kind=self.watched.name,
            api_version=self.watched.kind.group_version(reflection.api),
            phase=reflection.phase,
            is_listed=reflection.is_listed,
            objects=self._mirror.count(self.watched.kind),
            heard_age_s=monotonic() - heard_at,
            failure=reflection.failure,
            refused=len(reflection.refused),
            ignored=len(reflection.ignored),
            lists=sum(reflection.lists.values()),
            restarts=reflection.restarts,
        )

    async def run(self) -> None:
        """Follow until cancelled."""
        self._began_at = monotonic()
        while True:
            # Each turn of this loop is one row of failures: the waits begin anew with it.
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(KubeError), wait=_wait_s, sleep=self._pause
            ):
                with attempt:
                    await self._follow()

    def hurry(self) -> None:
        """Try again now, or when Retry-After allows it: another kind is back, so the failure may be over.

        Whatever it was: an API server that starts answers 403 or 401 until it has read its roles and keys.
        """
        self._hurry.set()

    async def _pause(self, seconds: float) -> None:
        self._hurry.clear()
        await asyncio.sleep(self._asked_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds - self._asked_s):
                await self._hurry.wait()

    async def _follow(self) -> None:
        """Follow until something fails; then raise KubeError, or return if it is the first failure for a while."""
        was_gone = False
        while True:
            try:
                if await self._ask(self.reflection.request()):
                    return
            except KubeError as error:
                if self._fail(error):
                    return
                if was_gone or not is_gone(error):
                    raise
                # The server is there, and has forgotten our version, as after each of its restarts: the list that is
                # next need not wait for as long as it was away. Once: it may forget the next one just as fast.
                was_gone = True
            except Exception as error:
                log.exception("%s: a defect; what is known stays in effect", self._name)
                defect = Defect(f"a defect of the control plane: {error}")
                if self._fail(defect):
                    return
                raise defect from error

    async def _ask(self, request: Request) -> bool:
        """Make a request; tells whether it was a watch that lasted."""
        if request.ask is Ask.LOOK:
            await self._look()
        elif request.ask is Ask.PAGE:
            await self._page(request)
        else:
            return await self._watch(request)
        return False

    async def _look(self) -> None:
        reflection, api = self.reflection, self.reflection.api
        was_absent, had = reflection.is_absent, self._mirror.count(self.watched.kind)
        version = await served_version(self.watched, self._get)
        await self._take_all(reflection.on_looked(version, monotonic()))
        if reflection.is_absent and not was_absent:
            self._tell_absent(had)
            self._on_listed()
        elif reflection.is_missing:
            self._tell_lost(KubeError("the API server does not serve this kind any more", 404))
        elif version and was_absent:
            log.info("%s: the kind is installed now", self._name)
        elif version == api:
            self._tell_lost(KubeError("the API server names this kind, but does not find it", 404))
        if reflection.is_looking:
            await asyncio.sleep(LOOK_S)

    async def _page(self, request: Request) -> None:
        accept = self.watched.accept(is_list=True)
        body = await self._get(request.path, request.query, accept=accept)
        async with self._turn:
            page = self.reflection.on_page(body, monotonic())
            for raw in page.items:
                await self._take(self.reflection.on_item(raw))
            if self.reflection.has_all:
                await self._finish()
            self._flush()

    async def _get(self, path: str, query: Mapping[str, str] = _NOTHING, *, accept: str = JSON) -> bytes:
        verb = "list" if query else "get"
        try:
            body = await self._api.get(path, query, accept=accept)
        except KubeError as error:
            self.counts.on_request(verb, error.code)
            raise
        self.counts.on_request(verb, 200)
        return body

    async def _watch(self, request: Request) -> bool:
        query = {**request.query, "timeoutSeconds": str(self._rng.randint(*WATCH_S))}
        is_accepted = False
        loop = asyncio.get_running_loop()
        settled = None
        try:
            async with asyncio.timeout(None) as limit:
                # The client's own limit is only the second: it does not know what counts as a sign of life.
                opened = self._api.stream(
                    request.path, query, accept=self.watched.accept(is_list=False), idle_s=2 * SILENT_S
                )
                async with opened as chunks:
                    is_accepted = True
                    self.counts.on_request("watch", 200)
                    self.reflection.on_opened(monotonic())
                    settled = loop.call_later(SETTLED_S, self._on_settled)
                    await self._listen(chunks, limit)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Silence(f"nothing came for {self._patience_s():.0f} s") from None
        except KubeError as error:
            if not is_accepted:
                self.counts.on_request("watch", error.code)
            raise
        finally:
            if settled is not None:
                settled.cancel()
            self._flush()
        has_lived = self.reflection.on_ended(monotonic())
        self._tell_back()
        return has_lived

    def _patience_s(self) -> float:
        return LIST_SILENT_S if self.reflection.is_listing else SILENT_S

    async def _listen(self, chunks: AsyncIterator[bytes], limit: asyncio.Timeout) -> None:
        """Take what a watch says until it ends in order."""
        loop = asyncio.get_running_loop()
        lines = Lines()
        reflection = self.reflection
        limit.reschedule(loop.time() + self._patience_s())
        async for chunk in chunks:
            now = monotonic()
            async with self._turn:
                await self._hear(lines, chunk, now)
            if reflection.heard_at == now:
                limit.reschedule(loop.time() + self._patience_s())
                self._tell_back()
        if lines.has_rest:
            raise CutOff("the watch ended in the middle of a line")

    async def _hear(self, lines: Lines, chunk: bytes, now: float) -> None:
        reflection = self.reflection
        try:
            for line in lines.feed(chunk):
                await self._take(reflection.on_line(line, now))
                if reflection.has_all:
                    await self._finish()
        except LineTooLongError as error:
            raise Garbage(str(error)) from None
        self._flush()
        if not reflection.is_listing:
            self._tell_refused()

    async def _finish(self) -> None:
        await self._take_all(self.reflection.finish())
        self._flush()
        self._tell_refused()
        self._tell_back()
        self._on_listed()

    async def _take_all(self, changes: Iterable[Change]) -> None:
        for change in changes:
            await self._take(change)
        self._flush()

    async def _take(self, change: Change | None) -> None:
        if change is not None:
            self._changes.append(change)
        # Counted from our own last pause: a chunk or page that is there already comes without one.
        if monotonic() - self._slice_at > SLICE_S:
            self._flush()
            await asyncio.sleep(0)
            self._slice_at = monotonic()

    def _flush(self) -> None:
        if self._changes:
            changes, self._changes = self._changes, []
            self._deliver(changes)
            self._mirror.tell()

    def _on_settled(self) -> None:
        self.reflection.on_settled()
        self._tell_back()

    def _fail(self, error: KubeError) -> bool:
        self._flush()
        self._asked_s = _asked_s(error)
        self.counts.on_failure(word_of(error))
        reflection = self.reflection
        was_looking = reflection.request().ask is Ask.LOOK
        is_first = reflection.on_failure(error, monotonic())
        # What is not found is a question to discovery first.
        is_question = reflection.request().ask is Ask.LOOK and not was_looking
        is_lost = reflection.lost_at is not None and not reflection.is_absent
        if is_lost and not is_gone(error) and not is_question:
            # A version that is gone is met after every outage, and a list is next.
            self._tell_lost(error)
        return is_first

    def _tell_lost(self, error: KubeError) -> None:
        word = word_of(error)
        if self._lost_at is not None and (word == self._lost_by or self._told.admit(monotonic()) is None):
            return
        is_new, self._lost_by = self._lost_at is None, word
        self._lost_at = self._lost_at if self._lost_at is not None else monotonic()
        if not self.is_listed:
            log.warning("%s: cannot be listed yet, and is tried again until it can: %s", self._name, error)
        elif is_new:
            log.warning("%s: lost; what is known stays in effect, and it is tried again: %s", self._name, error)
        else:
            log.warning("%s: still lost, and what is known stays in effect: %s", self._name, error)

    def _tell_back(self) -> None:
        if self._lost_at is not None and self.reflection.lost_at is None and self.is_listed:
            log.info("%s: back after %.1f s", self._name, monotonic() - self._lost_at)
            self._lost_at = None
            self._on_back()

    def _tell_absent(self, had: int) -> None:
        self._lost_at = None
        if had:
            log.warning("%s: not served for %.0f s: its %d objects are given up", self._name, MISSING_S, had)
        else:
            log.info("%s: the kind is not installed; looked for every %.0f s", self._name, LOOK_S)

    def _tell_refused(self) -> None:
        refused = self.reflection.refused
        self._refused = min(self._refused, len(refused))
        if len(refused) > self._refused and self._refusals.admit(monotonic()) is not None:
            self._refused = len(refused)
            key, flaw = next(reversed(refused.items()))
            log.warning(
                "%s: %d objects cannot be taken and count as absent, among them %s: %s",
                self._name, len(refused), key, flaw,
            )  # fmt: skip


def _wait_s(state: RetryCallState) -> float:
    """Return how long to wait: what Retry-After asked for, within bounds, and a chance that grows."""
    error = state.outcome.exception() if state.outcome is not None else None
    return (_asked_s(error) if isinstance(error, KubeError) else 0.0) + _BACKOFF(state)


def _asked_s(error: KubeError) -> float:
    return min(error.retry_after_s, LONGEST_ASKED_S)
