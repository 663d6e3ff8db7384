"""Runs what a command chose: shows it, keeps it, and says how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Self

import typer
from rich.console import Console, Group, RenderableType

from loadtest.cli.failure import BROKEN, INTERRUPTED, Failure
from loadtest.cli.folder import Folder
from loadtest.cli.screen import aside, say
from loadtest.compare import Chosen, Turn, compare
from loadtest.report.live import LiveLine, Now
from loadtest.report.page import render
from loadtest.report.table import single
from loadtest.results.file import encode
from loadtest.results.model import Comparison
from loadtest.scenario.explain import doubts
from loadtest.subjects import choice

Show = Callable[[Comparison], RenderableType]
"""What of it is printed on standard output; plain text is printed as it is."""
_RESULT, _PAGE = "result.json", "page.html"


def perform(chosen: Sequence[Chosen], rounds: int, out: Path, name: str, show: Show, *, pin: bool) -> NoReturn:
    """All runs, shown and kept: a new folder in `out` has result.json, written after every run, and page.html.

    Ends the command with its exit status.
    """
    check_judged(chosen)
    screen = aside()
    folder = Folder(out, name, lambda told: _tell(screen, told))
    for each in chosen:
        for doubt in doubts(each.scenario):
            screen.print(f"{each.scenario.name}: {doubt}", style="yellow", markup=False)

    def keep(comparison: Comparison) -> None:
        folder.put(_RESULT, encode(comparison))

    # What is told and kept at the end is not cut short by a second signal.
    with _Heeding() as heeding:
        comparison = asyncio.run(_all(chosen, rounds, keep, screen, heeding, pin=pin))
        folder.put(_PAGE, render(comparison).encode())
        try:
            say(show(comparison))
        finally:
            for failure in comparison.failures:
                _tell(screen, failure)
            if comparison.interrupted and not comparison.results:
                _tell(screen, "interrupted before anything was measured")
            for path in folder.kept:
                screen.print(str(path), soft_wrap=True, markup=False)
    raise typer.Exit(_status(comparison, is_kept=len(folder.kept) == len((_RESULT, _PAGE))))


def check_judged(chosen: Sequence[Chosen]) -> None:
    """Failure for a scenario whose expectations are for a name that no subject begins with."""
    for each in chosen:
        known = [*choice.ABOUT, *each.subjects]
        for at, name in enumerate(each.scenario.judged):
            if not choice.is_address(name) and not any(subject.startswith(name) for subject in known):
                raise Failure(
                    f"{each.scenario.name}: judged[{at}]: no subject's name begins with {name!r}; "
                    f"allowed: the beginning of {', '.join(choice.ABOUT)}, http://HOST:PORT"
                )


def one_by_one(comparison: Comparison) -> RenderableType:
    """Every result by itself."""
    return Group(*(single(result) for result in comparison.results))


def _tell(screen: Console, trouble: str) -> None:
    screen.print(trouble, style="red", markup=False, soft_wrap=True)


class _Heeding:
    """While it lasts, the signals that end a program stop what runs, and nothing else."""

    def __init__(self) -> None:
        self._stop: Callable[[], object] = lambda: None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                self._before[number] = signal.signal(number, lambda *_: self._stop())
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def stopping(self, stop: asyncio.Event) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        self._stop = partial(loop.call_soon_threadsafe, stop.set)
        try:
            yield
        finally:
            self._stop = lambda: None


async def _all(
    chosen: Sequence[Chosen],
    rounds: int,
    keep: Callable[[Comparison], None],
    screen: Console,
    heeding: _Heeding,
    *,
    pin: bool,
) -> Comparison:
    stop = asyncio.Event()

    @contextlib.contextmanager
    def show(turn: Turn) -> Iterator[Callable[[Now], None]]:
        trial = turn.trial
        title = f"{turn.number}/{turn.runs} {trial.scenario.name} {trial.subject}"
        with LiveLine(screen) as line:
            line.begin(title, trial.scenario.duration_s)
            yield line.update
            line.end()

    with heeding.stopping(stop):
        return await compare(chosen, rounds, stop, show, keep, pin=pin)


def _status(comparison: Comparison, *, is_kept: bool) -> int:
    """The exit status: see the help of meshload."""
    if comparison.interrupted:
        return INTERRUPTED
    if comparison.failures or any(result.problems for result in comparison.results) or not is_kept:
        return BROKEN
    judged = [result for result in comparison.results if result.is_judged]
    return 0 if all(verdict.holds for result in judged for verdict in result.verdicts) else 1
