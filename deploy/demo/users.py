"""The users: `python -m deploy.demo.users ADDR:PORT`, requests at a steady rate, whatever the answers.

Latency counts from when a request should have started, so that what holds up one request is charged to all that wait
behind it. Each line on standard output is a JSON list of what has ended since the last: [start, latency_s, failure],
`start` on the monotonic clock that all processes of a machine share, `failure` empty for a complete page. SIGTERM ends
it, after the last answers.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time

import uvloop

from deploy.demo.app import TESTER, parse_address
from deploy.demo.client import Client, ResponseError

RATE = 20
"""Pages per second."""
TESTERS = 10
"""One user in so many is a tester."""
PATIENCE_S = 10.0
REPORT_S = 0.2
LAST_S = 2.0
"""How long the last answers may take at the end; who has none by then is told as a failure."""


class Users:
    """All of them; a task for each request."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ended: list[tuple[float, float, str]] = []
        self._waiting: dict[asyncio.Task[None], float] = {}
        self._leaving = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._leaving.set)
        started = time.monotonic()
        told = started
        sent = 0
        while not self._leaving.is_set():
            now = time.monotonic()
            while started + sent / RATE <= now:
                start = started + sent / RATE
                task = loop.create_task(self._visit(start, TESTER if sent % TESTERS == 0 else ""))
                self._waiting[task] = start
                task.add_done_callback(self._waiting.pop)
                sent += 1
            if now - told >= REPORT_S:
                told = now
                self._tell()
            try:
                async with asyncio.timeout(max(0.0, started + sent / RATE - time.monotonic())):
                    await self._leaving.wait()
            except TimeoutError:
                pass
        if self._waiting:
            await asyncio.wait(list(self._waiting), timeout=LAST_S)
        now = time.monotonic()
        self._ended += [(start, now - start, "no answer") for start in self._waiting.values()]
        self._tell()

    async def _visit(self, start: float, fields: str) -> None:
        failure = ""
        try:
            async with asyncio.timeout(PATIENCE_S):
                status, body = await self._client.get("/", "front", fields)
            if status != 200:
                failure = f"{status} {body.decode(errors='replace')[:200]}"
        except TimeoutError:
            failure = "timeout"
        except (OSError, ResponseError) as error:
            failure = str(error)
        self._ended.append((start, time.monotonic() - start, failure))

    def _tell(self) -> None:
        print(json.dumps(self._ended), flush=True)
        self._ended.clear()


if __name__ == "__main__":
    uvloop.run(Users(Client(parse_address(sys.argv[1]))).run())
