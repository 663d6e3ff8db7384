"""The table, as large as a terminal of 80 columns and 24 lines, and as wide as a wider one."""

from __future__ import annotations

from itertools import groupby

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.demo.acts import ACTS, Act
from deploy.demo.metrics import Lane, LaneKey
from deploy.demo.tally import Tally
from deploy.demo.watch import Change, Endpoint, plain

WIDTH = 110
"""More columns than that help nobody."""


def frame(act: Act, elapsed_s: float, tally: Tally, change: Change, is_tls: bool) -> RenderableType:
    """The whole picture. `tally` and `change` are of this act so far."""
    number = ACTS.index(act) + 1
    head = Text.assemble(
        (f"act {number} of {len(ACTS)}  ", "bold cyan"), (act.title, "bold"), "\n", (act.watch_for, "dim")
    )
    panel = Panel(
        head,
        title=f"[bold]meshproxy[/bold] shop, {'mTLS' if is_tls else 'plain HTTP'} between the sidecars",
        title_align="left",
        subtitle=f"{elapsed_s:.0f} s",
        subtitle_align="right",
        border_style="cyan",
    )
    return Group(panel, _users(tally, change.seconds), Text(), _routes(change), Text(), _instances(change))


def percent(part: float | None) -> str:
    """Never 100 % when something failed."""
    if part is None:
        return "-"
    return "100 %" if part == 1 else f"{min(part * 100, 99.99):.2f} %"


def milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"


def _users(tally: Tally, seconds: float) -> Text:
    style = "bold red" if tally.failed else "bold green"
    return Text.assemble(
        (" users see ", f"{style} reverse"),
        (f"  {percent(tally.success)} success", style),
        f"   {tally.failed} of {tally.requests} pages failed",
        f"   {tally.requests / max(seconds, 0.1):.0f}/s",
        f"   p50 {milliseconds(tally.quantile_s(0.5))}   p99 {milliseconds(tally.quantile_s(0.99))}",
    )


def _routes(change: Change) -> Table:
    table = Table(box=None, pad_edge=False, expand=True, header_style="bold", padding=(0, 1))
    table.add_column(" ROUTE", ratio=3, no_wrap=True)
    table.add_column("BACKEND", ratio=2, no_wrap=True)
    for name in ("REQ/S", "SUCCESS", "P50", "P99", "RETRIES"):
        table.add_column(name, justify="right", ratio=1, no_wrap=True)
    for key, lane in sorted(change.lanes.items()):
        table.add_row(*_lane(key, lane, change.seconds))
    return table


def _lane(key: LaneKey, lane: Lane, seconds: float) -> list[Text | str]:
    is_inbound = key.direction == "inbound"
    success = 1 - lane.failed / lane.requests if lane.requests else None
    retries = f"{lane.retries:.0f}"
    return [
        f" {plain(key.service)} (its users)" if is_inbound else f" {plain(key.route)}",
        "its application" if is_inbound else plain(key.backend),
        f"{lane.requests / max(seconds, 0.1):.0f}",
        Text(percent(success), style="" if success is None else "green" if success == 1 else "red"),
        milliseconds(lane.quantile_s(0.5)),
        milliseconds(lane.quantile_s(0.99)),
        Text(retries, style="yellow" if lane.retries else "dim"),
    ]


def _instances(change: Change) -> Table:
    table = Table(box=None, pad_edge=False, expand=True, header_style="bold", padding=(0, 1))
    table.add_column(" INSTANCES", no_wrap=True, ratio=2)
    groups = [(name, list(group)) for name, group in groupby(change.endpoints, lambda endpoint: endpoint.service)]
    for _ in range(max((len(group) for _, group in groups), default=1)):
        table.add_column("", no_wrap=True, ratio=3)
    for name, group in groups:
        table.add_row(f" {name}", *(_instance(endpoint, change) for endpoint in group))
    return table


def _instance(endpoint: Endpoint, change: Change) -> Text:
    number = endpoint.pod.rpartition("-")[2]
    if endpoint.state != "ready":
        wait = f"probe in {endpoint.ejected_for_s:.1f} s" if endpoint.ejected_for_s else "probed now"
        return Text(f"✖ {number} {endpoint.state}, {wait}", style="bold red")
    lane = change.pods.get(endpoint.pod)
    rate = lane.requests / max(change.seconds, 0.1) if lane else 0.0
    mark = Text("● ", style="green")
    return mark.append(f"{number} {rate:4.0f}/s {milliseconds(endpoint.ewma_ms / 1000):>8}", style="default")
