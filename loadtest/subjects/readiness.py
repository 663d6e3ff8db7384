"""Waiting until a program that was begun does its work: bounded, and with its own last words when it is in vain."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from loadtest.process import Child
from loadtest.subjects.subject import SubjectError

PATIENCE_S = 30.0
"""Long enough for dozens of programs that start at once on two cores."""
ANSWER_S = 5.0
"""How long a program may take for one answer."""
_POLL_S = 0.02
_LOOK_S = 2.0
"""How long it may take to say whether it is ready, before it is asked anew."""


async def until(child: Child, is_ready: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it is ready. SubjectError when the program ends before that, or PATIENCE_S pass."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await _is_ready(is_ready):
                if not child.is_running:
                    await child.wait()  # what it said last may still be in the pipe
                    raise SubjectError(
                        f"{child.name} ended with status {child.returncode}; its last words:\n{child.last_words()}"
                    )
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise SubjectError(
            f"{child.name} was not ready after {PATIENCE_S:g} s; its last words:\n{child.last_words()}"
        ) from None


async def _is_ready(is_ready: Callable[[], Awaitable[bool]]) -> bool:
    """Whoever holds its port, and never answers, must not hide that it has ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LOOK_S):
            return await is_ready()
    return False


@contextlib.asynccontextmanager
async def answering(child: Child) -> AsyncIterator[None]:
    """What is asked of it meanwhile. SubjectError for an OSError, and when there is no answer within ANSWER_S."""
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except OSError as error:
        why = f"no answer in {ANSWER_S:g} s" if isinstance(error, TimeoutError) else str(error)
        raise SubjectError(f"{child.name} does not answer ({why}); its last words:\n{child.last_words()}") from None
