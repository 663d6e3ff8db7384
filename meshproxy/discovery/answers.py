"""What the control plane asks the sidecar: as much and as often as does the sidecar no harm."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Protocol

from meshproxy.kit.aio.tasks import Tasks
from meshproxy.kit.bucket import Bucket
from meshproxy.wire.stream import Answer, Ask, encode

log = logging.getLogger(__name__)

WORDS = ("config", "endpoints", "metrics")
MAX_BYTES = 4 * 1024 * 1024
"""Of an Answer, as it travels."""
MAX_ACTIVE = 4
PER_S = 20.0
ANSWER_S = 5.0


class Line(Protocol):
    """Where answers go. Nothing more is given to one that is stuck: the other end does not read."""

    @property
    def is_stuck(self) -> bool: ...

    def send(self, message: bytes) -> None: ...


class Answers:
    """Has each question answered by `answer(word)`, a task each; says why where it is not."""

    __slots__ = ("_active", "_answer", "_bucket", "_tasks")

    def __init__(self, answer: Callable[[str], Awaitable[str]], tasks: Tasks) -> None:
        self._answer = answer
        self._tasks = tasks
        self._bucket = Bucket(PER_S, PER_S)
        self._active = 0

    def on_ask(self, ask: Ask, line: Line) -> None:
        """Begin to answer, or refuse."""
        if line.is_stuck:
            return
        if not self._bucket.admit(monotonic()) or self._active >= MAX_ACTIVE:
            line.send(encode(Answer(id=ask.id, error="too many questions at once")))
        elif ask.what not in WORDS:
            known = ", ".join(WORDS)
            line.send(encode(Answer(id=ask.id, error=f"{ask.what[:64]!r} is not known here; allowed: {known}")))
        else:
            self._active += 1
            self._tasks.start(self._reply(ask, line))

    async def _reply(self, ask: Ask, line: Line) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                message = encode(Answer(id=ask.id, body=await self._answer(ask.what)))
            if len(message) > MAX_BYTES:
                message = encode(Answer(id=ask.id, error=f"the answer has {len(message)} bytes; allowed: {MAX_BYTES}"))
        except TimeoutError:
            message = encode(Answer(id=ask.id, error=f"there was no answer within {ANSWER_S:g} s"))
        except Exception:
            log.exception("a question of the control plane could not be answered by a defect")
            message = encode(Answer(id=ask.id, error="it could not be answered by a defect"))
        finally:
            self._active -= 1
        if not line.is_stuck:
            line.send(message)
