"""What happens now, in two lines at the foot of a terminal while a run is under way; elsewhere a line now and then."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtest.report.words import count, latency, percent, printable, seconds
from loadtest.scenario.units import rate

PLAIN_EVERY_S = 5.0


@dataclass(frozen=True)
class Now:
    """A moment of a run. Rate, success (None: nothing ended) and p99 (0: no success) are of what became known last."""

    elapsed_s: float
    phase: str
    per_second: float
    success_percent: float | None
    p99_us: int
    connections: int
    waiting: int
    faults: list[str]
    """What holds now, for people."""


class LiveLine:
    """Begun, told, ended; `screen` is where it shows, which is stderr, so that output can be piped.

    It has no thread: what is on the screen changes with `update` alone.
    """

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._live: Live | None = None
        self._title = ""
        self._total_s = 0.0
        self._plain_at_s = 0.0

    def begin(self, title: str, total_s: float) -> None:
        """A run of so many seconds of load."""
        self.end()
        self._title, self._total_s, self._plain_at_s = printable(title), total_s, 0.0
        if self._screen.is_terminal and not self._screen.is_dumb_terminal:
            self._live = Live(self._shown(None), console=self._screen, auto_refresh=False, transient=True)
            self._live.start(refresh=True)
        else:
            self._say(f"{title}: begins, {seconds(total_s)} of load")

    def update(self, now: Now) -> None:
        if self._live is not None:
            self._live.update(self._shown(now), refresh=True)
        elif now.elapsed_s >= self._plain_at_s:
            self._plain_at_s = now.elapsed_s + PLAIN_EVERY_S
            parts = [f"{seconds(round(now.elapsed_s, 1))} of {seconds(self._total_s)}", now.phase, *_figures(now)]
            self._say(f"{self._title}: {', '.join(part for part in parts if part)}{_faults(now)}")

    def end(self) -> None:
        """Takes the lines off the screen; safe at any time."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _say(self, line: str) -> None:
        self._screen.print(printable(line), soft_wrap=True, markup=False, highlight=False)

    def _shown(self, now: Now | None) -> Group:
        elapsed_s = now.elapsed_s if now else 0.0
        above = Table.grid(padding=(0, 2, 0, 0), expand=True)
        for _ in range(3):
            above.add_column(no_wrap=True)
        above.columns[1].ratio = 1
        above.add_row(
            Text(self._title, "bold"),
            ProgressBar(total=self._total_s, completed=min(max(elapsed_s, 0.0), self._total_s)),
            Text(f"{seconds(round(max(elapsed_s, 0.0), 1))} of {seconds(self._total_s)}"),
        )
        below = Text(no_wrap=True, overflow="ellipsis")
        if now is None:
            below.append("getting ready")
        else:
            below.append(printable("  ".join(part for part in (now.phase, *_figures(now)) if part)))
            below.append(printable(_faults(now)), "yellow")
        return Group(above, below)


def _figures(now: Now) -> list[str]:
    return [
        rate(now.per_second),
        "" if now.success_percent is None else f"{percent(now.success_percent)} succeed",
        f"p99 {latency(now.p99_us)}" if now.p99_us else "",
        f"{count(now.connections)} open",
        f"{count(now.waiting)} waiting" if now.waiting else "",
    ]


def _faults(now: Now) -> str:
    return f"; {'; '.join(now.faults)}" if now.faults else ""
