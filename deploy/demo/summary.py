"""What is said at the end."""

from __future__ import annotations

import os
from collections.abc import Collection

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.demo.acts import Record
from deploy.demo.screen import milliseconds
from deploy.demo.tally import Tally

BUSY = 1.5
"""Runnable processes for each processor from which on they wait longer than the routes' timeouts allow."""
SHOWN = 5
"""So many kinds of failure are told."""


def summarize(console: Console, records: Collection[Record]) -> bool:
    """Print the summary; whether users were served without a failure."""
    total = Tally()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("ACT", "left"), ("PAGES", "right"), ("FAILED", "right"), ("P50", "right"), ("P99", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("WHAT WAS SEEN", overflow="fold")
    for record in records:
        tally = record.tally
        total.merge(tally)
        table.add_row(
            record.act.word,
            str(tally.requests),
            Text(str(tally.failed), style="red" if tally.failed else "green"),
            milliseconds(tally.quantile_s(0.5)),
            milliseconds(tally.quantile_s(0.99)),
            record.seen(),
        )
    console.print()
    console.print(table)
    console.print()
    is_good = total.requests > 0 and not total.failed
    latency = f"p50 {milliseconds(total.quantile_s(0.5))}, p99 {milliseconds(total.quantile_s(0.99))}"
    if is_good:
        console.print(f"Users noticed nothing: {total.requests} pages, 0 failed, {latency}.", style="bold green")
    else:
        console.print(f"Users noticed: {total.failed} of {total.requests} pages failed, {latency}.", style="bold red")
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
        if busy > BUSY:
            console.print(f"This machine has {busy:.1f} times as much to do as it can: try again when it is less busy.")
    for failure, count in total.failures.most_common(SHOWN):
        console.print(f"  {count} x {failure}", markup=False)
    return is_good
