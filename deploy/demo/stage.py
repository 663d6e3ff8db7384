"""Where the show is seen: a live table on a terminal, now and then a line elsewhere, a picture when asked for."""

from __future__ import annotations

import io
import re
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

from deploy.demo.acts import ACTS, Deed, calls
from deploy.demo.child import ROOT
from deploy.demo.cluster import Cluster
from deploy.demo.options import Options
from deploy.demo.pods import show
from deploy.demo.screen import Texts, frame, milliseconds
from deploy.demo.show import Show

LINE_S = 5.0
"""A line so often where there is no terminal."""
PICTURE_WIDTH = 96
PICTURED = Deed.AWAY
"""The act whose end the picture shows."""

HINTS = """\
In a second terminal, in the same folder, you can

  speak with the control plane:
    . {env}
    meshctl get httproutes
    meshctl route shift reviews v2=30
    meshctl proxies
    meshctl explain http://reviews/1 --from shop/front
  call a service as the front end does, through its sidecar:
    curl --proxy http://{outbound} http://reviews/1
  see what the front end's sidecar knows:
    curl 'http://{admin}/endpoints?format=text'
    curl http://{admin}/stream
  make an application fail yourself (failing, slow, well), past the mesh:
    curl -X PUT http://{app}/mood/failing
"""


class Stage:
    """A context: within it the table is on the screen."""

    def __init__(self, console: Console, options: Options, cluster: Cluster) -> None:
        self._console = console
        self._options = options
        self._cluster = cluster
        self._is_live = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False)
        self._told_s = 0.0

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def hint(self) -> None:
        """Say what can be tried meanwhile."""
        front = self._cluster.front
        failing = next(pod for pod in self._cluster.pods.values() if pod.name == "reviews-v2-1")
        env = self._cluster.plane.env.relative_to(ROOT)
        text = HINTS.format(env=env, outbound=show(front.outbound), admin=show(front.admin), app=show(failing.app))
        if not self._cluster.has_tls:
            text += "\nThere is no openssl program here to make certificates with: the sidecars speak plain HTTP.\n"
        ending = "Ctrl-C ends all of it." if self._options.seconds is None else f"It takes {self._options.seconds:g} s."
        self._console.print(f"{text}\n{ending}\n", markup=False, soft_wrap=True)

    def on_act(self, show: Show) -> None:
        """Announce an act."""
        if not self._is_live:
            self._console.print(f"act {ACTS.index(show.act) + 1} of {len(ACTS)}: {show.title}", soft_wrap=True)

    def on_look(self, show: Show) -> None:
        """Show what was seen."""
        if self._is_live:
            self._live.update(self._frame(show), refresh=True)
        elif show.elapsed_s - self._told_s >= LINE_S:
            self._tell(show)

    def on_end(self, show: Show) -> None:
        """Say how an act went."""
        if not self._is_live:
            self._tell(show)
        if self._options.picture is not None and show.act.deed is PICTURED:
            self._draw(show)

    def _frame(self, show: Show) -> RenderableType:
        assert show.change is not None
        act = f"act {ACTS.index(show.act) + 1} of {len(ACTS)}"
        place = f"shop, {'mTLS' if self._cluster.has_tls else 'plain HTTP'} between the sidecars"
        texts = Texts(place, act, show.title, show.watch_for, f"{show.elapsed_s:.0f} s")
        return frame(texts, show.tally, show.change, show.canary.share, show.away_s)

    def _tell(self, show: Show) -> None:
        assert show.change is not None
        self._told_s = show.elapsed_s
        tally = show.tally
        self._console.print(
            f"  {show.elapsed_s:5.1f} s  users: {tally.requests} pages, {tally.failed} failed, "
            f"p50 {milliseconds(tally.quantile_s(0.5))}, p99 {milliseconds(tally.quantile_s(0.99))}; "
            f"{calls(show.change.retries)} repeated; {show.canary.share}; "
            f"control plane: {'serving' if show.away_s is None else 'away'}; "
            f"ejected: {', '.join(show.change.ejected) or 'none'}; avoided: {', '.join(show.change.avoided) or 'none'}",
            soft_wrap=True,
        )

    def _draw(self, show: Show) -> None:
        assert self._options.picture is not None
        console = Console(
            record=True, width=PICTURE_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
        )
        console.print(self._frame(show))
        # The same names within it each time, so that two pictures differ only in what they show.
        svg = console.export_svg(title="make demo", unique_id="demo")
        # A picture asks nothing of anybody: the viewer's own monospaced font will do.
        svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
        # Some viewers drop the spaces at the beginning of a text.
        self._options.picture.write_text(svg.replace("<svg ", '<svg xml:space="preserve" ', 1))
