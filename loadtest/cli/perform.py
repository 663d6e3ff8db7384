"""Runs what a command chose: shows it, keeps it, and says how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console, Group, RenderableType

from loadtest.cli.failure import BROKEN, INTERRUPTED
from loadtest.compare import Chosen, Turn, compare
from loadtest.report.live import LiveLine, Now
from loadtest.report.page import render
from loadtest.report.table import single
from loadtest.results.file import write
from loadtest.results.model import Comparison
from loadtest.scenario.explain import doubts

Show = Callable[[Comparison], RenderableType]
"""What of it is printed on standard output; plain text is printed as it is."""


def perform(chosen: Sequence[Chosen], rounds: int, out: Path, name: str, show: Show, *, pin: bool) -> NoReturn:
    """All runs, shown and kept: a new folder in `out` has result.json, written after every run, and page.html.

    Ends the command with its exit status.
    """
    screen = Console(stderr=True, highlight=False)
    folder = out / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}"
    folder.mkdir(parents=True, exist_ok=False)
    for each in chosen:
        for doubt in doubts(each.scenario):
            screen.print(f"{each.scenario.name}: {doubt}", style="yellow", highlight=False, markup=False)

    def keep(comparison: Comparison) -> None:
        write(comparison, folder / "result.json")

    comparison = asyncio.run(_all(chosen, rounds, keep, screen, pin=pin))
    (folder / "page.html").write_text(render(comparison), encoding="utf-8")
    shown = show(comparison)
    if isinstance(shown, str):
        typer.echo(shown)
    else:
        Console(highlight=False).print(shown)
    for failure in comparison.failures:
        screen.print(failure, style="red", markup=False)
    screen.print(f"{folder}/page.html", f"{folder}/result.json", sep="\n", soft_wrap=True)
    raise typer.Exit(_status(comparison))


def one_by_one(comparison: Comparison) -> RenderableType:
    """Every result by itself."""
    return Group(*(single(result) for result in comparison.results))


async def _all(
    chosen: Sequence[Chosen], rounds: int, keep: Callable[[Comparison], None], screen: Console, *, pin: bool
) -> Comparison:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)

    @contextlib.contextmanager
    def show(turn: Turn) -> Iterator[Callable[[Now], None]]:
        trial = turn.trial
        title = f"{turn.number}/{turn.runs} {trial.scenario.name} {trial.subject}"
        with LiveLine(screen) as line:
            line.begin(title, trial.scenario.duration_s)
            yield line.update
            line.end()

    return await compare(chosen, rounds, stop, show, keep, pin=pin)


def _status(comparison: Comparison) -> int:
    """The exit status: see the help of meshload."""
    if comparison.interrupted:
        return INTERRUPTED
    if comparison.failures or any(result.problems for result in comparison.results):
        return BROKEN
    judged = [result for result in comparison.results if result.is_judged]
    return 0 if all(verdict.holds for result in judged for verdict in result.verdicts) else 1
