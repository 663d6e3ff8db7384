"""Long work lets the loop have its turns; short work takes none."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from meshproxy.kit.aio import slices
from tests.fakes.loop import on_uvloop


class Clock:
    """Stands still but for the steps of the work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(slices, "monotonic", lambda: self.now)


class Turns:
    """Counts the loop's turns."""

    def __init__(self) -> None:
        self.count = -1  # the first is the one that the work begins in
        self._loop = asyncio.get_running_loop()
        self._on_turn()

    def _on_turn(self) -> None:
        self.count += 1
        self._handle = self._loop.call_soon(self._on_turn)

    def stop(self) -> int:
        self._handle.cancel()
        return self.count


async def _turns(clock: Clock, steps: int, step_s: float) -> tuple[int, str]:
    def work() -> Generator[None, None, str]:
        for _ in range(steps):
            clock.now += step_s
            yield
        return "done"

    turns = Turns()
    result = await slices.in_slices(work())
    return turns.stop(), result


@on_uvloop
async def test_long_work_has_one_slice_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    count, result = await _turns(clock, 1_000, slices.SLICE_S / 4)
    assert result == "done"
    assert 150 <= count <= 260  # four to six steps in each


@on_uvloop
async def test_a_step_longer_than_a_slice_is_a_turn_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    count, _ = await _turns(Clock(monkeypatch), 20, slices.SLICE_S * 3)
    assert count >= 19


@on_uvloop
async def test_short_work_takes_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await _turns(Clock(monkeypatch), 100, 0.0) == (0, "done")


@on_uvloop
async def test_what_the_work_raises_is_raised() -> None:
    def work() -> Generator[None, None, None]:
        yield
        raise LookupError("of the work")

    with pytest.raises(LookupError, match="of the work"):
        await slices.in_slices(work())
