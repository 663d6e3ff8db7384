"""Long work done in short slices, so that the loop has its turns in between."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from time import monotonic
from typing import TypeVar

SLICE_S = 0.001

Result = TypeVar("Result")


async def in_slices(steps: Generator[None, None, Result]) -> Result:
    """Run a generator to its end, at most about SLICE_S in one turn; returns what it returns, raises what it raises."""
    began = monotonic()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if monotonic() - began > SLICE_S:
            await asyncio.sleep(0)
            began = monotonic()
