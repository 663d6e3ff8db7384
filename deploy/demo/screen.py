"""The table, as large as a terminal of 80 columns and 24 lines, and as wide as a wider one."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.demo.canary import Share
from deploy.demo.metrics import Lane, LaneKey
from deploy.demo.tally import Tally
from deploy.demo.watch import Change, Endpoint, plain

LEGEND = Text.assemble(
    (" INSTANCES", "bold"),
    "   requests/s and average latency   ",
    ("● in use   ", "green"),
    ("▲ avoided   ", "yellow"),
    ("✖ ejected", "bold red"),
    no_wrap=True,
)


LABEL = 12
BAR = 16
ROW = 3
"""So many instances stand beside each other."""


class Texts(NamedTuple):
    """What stands in the frame's head."""

    place: str
    act: str
    title: str
    watch_for: str
    time: str


def frame(texts: Texts, tally: Tally, change: Change, share: Share, away_s: float | None) -> RenderableType:
    """The whole picture. `tally` and `change` are of this act so far; `away_s`: so long without a control plane."""
    head = Text.assemble((f"{texts.act}  ", "bold cyan"), (texts.title, "bold"), "\n", (texts.watch_for, "dim"))
    panel = Panel(
        head,
        title=f"[bold]meshproxy[/bold] {texts.place}",
        title_align="left",
        subtitle=texts.time,
        subtitle_align="right",
        border_style="cyan",
    )
    above = (panel, _users(tally), _canary(share), _plane(change, away_s), Text())
    return Group(*above, _routes(change), LEGEND, _instances(change))


def percent(part: float | None) -> str:
    """Never 100 % when something failed."""
    if part is None:
        return "-"
    return "100 %" if part == 1 else f"{min(part * 100, 99.99):.2f} %"


def milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.09995 else f"{seconds * 1000:.0f} ms"


def _users(tally: Tally) -> Text:
    style = "bold red" if tally.failed else "bold green"
    return Text.assemble(
        (f"{' users see':{LABEL}}", f"{style} reverse"),
        (f" {percent(tally.success)} success", style),
        f"   {tally.failed} of {tally.requests} pages failed",
        f"   p50 {milliseconds(tally.quantile_s(0.5))}   p99 {milliseconds(tally.quantile_s(0.99))}",
        no_wrap=True,
    )


def _canary(share: Share) -> Text:
    text = Text.assemble((f"{' canary':{LABEL}}", "bold magenta reverse"), no_wrap=True)
    if share.asked is None:
        return text.append(" the rule `everyone` of reviews is gone")
    part = share.asked if share.measured is None else share.measured
    new = round(part * BAR)
    text.append(" v1 ").append("░" * (BAR - new), "dim").append("█" * new, "magenta").append(" v2   asked ")
    text.append(f"{share.asked * 100:.3g} %", "bold")
    if share.measured is not None:
        text.append("   gets ").append(f"{share.measured * 100:.3g} %", "bold").append(f" of {share.total} calls")
    return text


def _plane(change: Change, away_s: float | None) -> Text:
    style = "bold cyan" if away_s is None else "bold red"
    text = Text.assemble((f"{' control':{LABEL}}", f"{style} reverse"), no_wrap=True)
    if away_s is not None:
        return text.append(f" ✖ away for {away_s:.0f} s", style).append("   the sidecars go on with what they know")
    if change.plane is None:
        return text
    text.append(" ● ", "green").append(f"{change.plane.sidecars} sidecars connected")
    if change.plane.ack_s is not None:
        text.append("   from write to Ack ").append(milliseconds(change.plane.ack_s), "bold")
        text.append(f" ({change.plane.acks} Ack{'' if change.plane.acks == 1 else 's'})")
    return text


def _routes(change: Change) -> Table:
    table = Table(box=None, pad_edge=False, expand=True, header_style="bold", padding=(0, 1))
    table.add_column(" ROUTE", min_width=18, ratio=2, no_wrap=True)
    table.add_column("BACKEND", min_width=11, ratio=1, no_wrap=True)
    for name in ("REQ/S", "SUCCESS", "P50", "P99", "RETRIES"):
        table.add_column(name, justify="right", min_width=7, no_wrap=True)
    for key, lane in sorted(change.lanes.items()):
        table.add_row(*_lane(key, lane, change.seconds))
    return table


def _lane(key: LaneKey, lane: Lane, seconds: float) -> list[Text | str]:
    is_inbound = key.direction == "inbound"
    success = 1 - lane.failed / lane.requests if lane.requests else None
    retries = f"{lane.retries:.0f}"
    return [
        f" {plain(key.service)} (its users)" if is_inbound else f" {plain(key.route)}",
        "its app" if is_inbound else plain(key.backend),
        f"{lane.requests / max(seconds, 0.1):.0f}",
        Text(percent(success), style="" if success is None else "green" if success == 1 else "red"),
        milliseconds(lane.quantile_s(0.5)),
        milliseconds(lane.quantile_s(0.99)),
        Text(retries, style="yellow" if lane.retries else "dim"),
    ]


def _instances(change: Change) -> Table:
    table = Table(box=None, pad_edge=False, expand=True, show_header=False, padding=(0, 1))
    table.add_column(min_width=12, no_wrap=True, ratio=2)
    for _ in range(ROW):
        table.add_column(no_wrap=True, ratio=3)
    for name, group in groupby(change.endpoints, lambda endpoint: endpoint.service):
        texts = [_instance(endpoint, change) for endpoint in group]
        for n in range(0, len(texts), ROW):
            table.add_row("" if n else f" {name}", *texts[n : n + ROW])
    return table


def _instance(endpoint: Endpoint, change: Change) -> Text:
    number = endpoint.pod.rpartition("-")[2]
    if endpoint.state != "ready":
        wait = f"probe in {endpoint.ejected_for_s:.1f} s" if endpoint.ejected_for_s else "probe is due"
        return Text(f"✖ {number} {wait}", style="bold red")
    lane = change.pods.get(endpoint.pod)
    rate = lane.requests / max(change.seconds, 0.1) if lane else 0.0
    line = f"{number} {rate:3.0f}/s {milliseconds(endpoint.ewma_ms / 1000):>7}"
    if endpoint.pod in change.avoided:
        return Text(f"▲ {line}", style="yellow")
    return Text.assemble(("● ", "green"), line)
