"""The origin's process: orders on standard input, reports on standard output, line by line (messages.py)."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from time import monotonic
from typing import Any

import msgspec
import uvloop

from loadtest.messages import (
    FromOrigin,
    Listening,
    Open,
    Opened,
    Retire,
    Serve,
    Start,
    Stop,
    Take,
    ToOrigin,
    Trouble,
)
from loadtest.origin.fleet import Fleet, FleetError
from loadtest.origin.site import SiteError
from loadtest.scenario.load import ScenarioError, parse

REPORT_S = 0.25
LINE_BYTES = 16 * 1024 * 1024
"""Of an order: a scenario's text, or the chunks of a Take."""
_FLUSH_S = 2.0

_decoder: msgspec.json.Decoder[ToOrigin] = msgspec.json.Decoder(ToOrigin)
_encode = msgspec.json.Encoder().encode


class Conversation:
    """Carries out what is ordered, one line after the other."""

    def __init__(self, out: asyncio.WriteTransport) -> None:
        self._out = out
        self._fleet: Fleet | None = None
        self._is_telling = False
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def hold(self, orders: asyncio.StreamReader) -> bool:
        """True after Stop, False when there are no more orders."""
        while line := await orders.readline():
            order = _decoder.decode(line)
            if isinstance(order, Stop):
                if self._fleet is not None:
                    self._say(self._fleet.traffic())
                    self._fleet.end()
                return True
            await self._carry_out(order)
        return False

    async def _carry_out(self, order: ToOrigin) -> None:
        if isinstance(order, Serve):
            if self._fleet is not None:
                raise FleetError("serve comes once")
            self._fleet = Fleet(order, parse(order.scenario), self.on_trouble)
            await self._fleet.open_all()
            self._say(Listening())
            return
        fleet = self._fleet
        if fleet is None:
            raise FleetError("the first line is serve")
        if isinstance(order, Start):
            if self._is_telling:
                raise FleetError("start comes once")
            self._is_telling = True
            fleet.start(order.at)
            self._tell(fleet)
        elif isinstance(order, Open):
            await fleet.open(order)
            self._say(Opened(order.origin, order.instance))
        elif isinstance(order, Retire):
            fleet.retire(order)
        elif isinstance(order, Take):
            self._say(fleet.take(order))

    def _tell(self, fleet: Fleet) -> None:
        self._say(fleet.traffic())
        fleet.clock.at(monotonic() + REPORT_S, self._tell, fleet)

    def on_trouble(self, message: str) -> None:
        """What ends the process, from wherever it is noticed."""
        if not self.failed.done():
            self.failed.set_result(message)

    def _say(self, message: FromOrigin) -> None:
        if not self._out.is_closing():
            self._out.write(_encode(message) + b"\n")

    def say_trouble(self, message: str) -> None:
        self._say(Trouble(message))


class _Output(asyncio.Protocol):
    """Standard output; `gone` when nobody reads it, or when all is written."""

    def __init__(self) -> None:
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)


async def _run() -> int:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    out, output = await loop.connect_write_pipe(_Output, sys.stdout)
    conversation = Conversation(out)

    def on_mistake(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # The loop would go on without what failed, and the run would count what is not so.
        loop.default_exception_handler(context)
        conversation.on_trouble(f"the origin failed: {context.get('exception', context['message'])!r}")

    loop.set_exception_handler(on_mistake)
    holding = loop.create_task(conversation.hold(orders))
    watched: set[asyncio.Future[Any]] = {holding, conversation.failed, output.gone}
    await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    trouble = ""
    if conversation.failed.done():
        trouble = conversation.failed.result()
    elif holding.done():
        try:
            if not holding.result():
                return 0
        except (FleetError, ScenarioError, SiteError, OSError, ValueError, msgspec.MsgspecError) as error:
            trouble = str(error) or repr(error)
    if trouble:
        conversation.say_trouble(trouble)
    out.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(output.gone, _FLUSH_S)
    return 1 if trouble else 0


def main() -> int:
    return uvloop.run(_run())


if __name__ == "__main__":
    sys.exit(main())
