"""What the control plane asks of one sidecar, and the answers that it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from control.push.bounds import Bounds
from meshproxy.kit.bucket import Bucket
from meshproxy.wire.stream import Answer, Ask

SUBJECTS = ("config", "endpoints", "metrics")


class AskError(RuntimeError):
    """The sidecar was not asked, or had no answer; the message says why."""


class Asks:
    """Bounded: so many at once, so many a second, each for so long."""

    __slots__ = ("_asked_at", "_bounds", "_bucket", "_ids", "_waiting")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._bucket = Bucket(bounds.asks_per_s, bounds.asks_per_s)
        self._ids = 0
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._asked_at = -inf

    def is_due(self, now: float) -> bool:
        """Tell whether an answer may come, perhaps a late one."""
        return now - self._asked_at < self._bounds.unacknowledged_s

    async def ask(self, what: str, write: Callable[[Ask], None], now: float) -> str:
        """Return the answer's body. Raise AskError, or TimeoutError when none came."""
        if what not in SUBJECTS:
            raise AskError(f"nothing is known of {what[:64]!r}; allowed: {', '.join(SUBJECTS)}")
        self._admit(now)
        self._ids = number = self._ids + 1
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            write(Ask(id=number, what=what))
            async with asyncio.timeout(self._bounds.ask_s):
                body: str = await future
                return body
        except TimeoutError:
            raise TimeoutError(f"the sidecar did not answer within {self._bounds.ask_s:g} s") from None
        finally:
            del self._waiting[number]

    def on_answer(self, answer: Answer) -> bool:
        """Take an answer; False for one that was never asked for. One that comes too late is dropped."""
        future = self._waiting.get(answer.id)
        if future is None:
            return 0 < answer.id <= self._ids
        if not future.done():
            if answer.error:
                future.set_exception(AskError(f"the sidecar says: {answer.error[:1000]}"))
            else:
                future.set_result(answer.body)
        return True

    def close(self) -> None:
        """No answer will come any more."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(AskError("the sidecar's stream has ended"))

    def _admit(self, now: float) -> None:
        bounds = self._bounds
        if len(self._waiting) >= bounds.asks:
            raise AskError(f"the sidecar is being asked {bounds.asks} things already")
        if not self._bucket.admit(now):
            raise AskError(f"the sidecar is asked more than {bounds.asks_per_s:g} times a second")
        self._asked_at = now
