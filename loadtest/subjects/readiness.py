"""Waiting until a program that was begun does its work: bounded, and with its own last words when it is in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from loadtest.process import Child
from loadtest.subjects.subject import SubjectError

PATIENCE_S = 30.0
"""Long enough for dozens of programs that start at once on two cores."""
_POLL_S = 0.02


async def until(child: Child, is_ready: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it is ready. SubjectError when the program ends before that, or PATIENCE_S pass."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await is_ready():
                if not child.is_running:
                    await asyncio.sleep(_POLL_S)  # what it said last may still be in the pipe
                    raise SubjectError(
                        f"{child.name} ended with status {child.returncode}; its last words:\n{child.last_words()}"
                    )
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise SubjectError(
            f"{child.name} was not ready after {PATIENCE_S:g} s; its last words:\n{child.last_words()}"
        ) from None
