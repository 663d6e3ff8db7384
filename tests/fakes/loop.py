"""Runs a test on uvloop, and waits on conditions."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is somebody else's state
            await asyncio.sleep(0.001)


async def passed(seconds: float) -> None:
    """For what must not happen meanwhile, or is meant to come late; never to wait for something else."""
    await asyncio.sleep(seconds)


def on_uvloop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        uvloop.run(asyncio.wait_for(test(*args, **kwargs), 30))
        gc.collect()  # a socket left open is told by its finalizer, and that is an error

    return run
