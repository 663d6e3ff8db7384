"""`make demo`: a small shop behind sidecars, users who call it, and what happens to it meanwhile.

A canary, a control plane that is killed, an instance that is replaced, others that die, fail and are slow.

DEMO_SECONDS=15 ends it by itself, DEMO_PORT_BASE=16000 moves all ports, DEMO_PICTURE=FILE writes an SVG of the table.
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from deploy.demo.child import DemoError
from deploy.demo.cluster import Cluster
from deploy.demo.options import Options
from deploy.demo.show import Show
from deploy.demo.stage import Stage
from deploy.demo.summary import summarize

INTERRUPTED = 130


class Output(Console):
    """The console, except that it leaves it to the demo to end when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # What Python still holds for it goes nowhere, instead of failing once more at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BrokenPipeError("nobody reads the output any more")


def main() -> int:
    """0: users noticed nothing; 1: they did, or the demo could not be shown; 130: ended before users came."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no UTF-8 gets question marks
    try:
        return asyncio.run(_run(Output(highlight=False), Options.read(os.environ)))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # Perhaps the terminal is gone, and nothing can be said any more.
        with suppress(OSError):
            print(f"demo: {error}", file=sys.stderr)
        return 1


async def _run(console: Console, options: Options) -> int:
    """All that is begun ends in here, where a signal only sets an event and so cannot disturb the ending."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGHUP, _hang_up, console, stopped)
    with tempfile.TemporaryDirectory(prefix="meshproxy-demo-", ignore_cleanup_errors=True) as directory:
        cluster = Cluster(Path(directory), options.base)
        stage = Stage(console, options, cluster)
        show = Show(cluster, Path(directory), stage)
        performance = loop.create_task(_perform(console, stage, show, options.seconds))
        stopping = loop.create_task(stopped.wait())
        try:
            await asyncio.wait({performance, stopping}, return_when=asyncio.FIRST_COMPLETED)
            performance.cancel()
            with suppress(asyncio.CancelledError):
                await performance
        finally:
            stopping.cancel()
            cluster.stop()
    if stopped.is_set() and not show.has_users:
        return INTERRUPTED
    return 0 if summarize(console, show.records.values()) else 1


async def _perform(console: Console, stage: Stage, show: Show, seconds: float | None) -> None:
    began = time.monotonic()
    cluster = show.cluster
    console.print(f"starting a control plane, {len(cluster.pods)} applications and their sidecars ...")
    await cluster.start()
    console.print(f"they are ready after {time.monotonic() - began:.1f} s\n")
    stage.hint()
    with stage:
        await show.run(seconds)


def _hang_up(console: Console, stopped: asyncio.Event) -> None:
    console.quiet = True  # the terminal was closed: whatever is written to it fails
    stopped.set()


if __name__ == "__main__":
    sys.exit(main())
