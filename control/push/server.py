"""Where sidecars connect: a WebSocket on the push address."""

from __future__ import annotations

import asyncio

from aiohttp import web

from control.listener import Listener
from control.push.hub import Hub
from control.push.stream import NORMAL, Stream
from meshproxy.kit.loopback import is_own_origin
from meshproxy.wire.address import format_place
from meshproxy.wire.stream import PATH

_KEEP_S = 5.0
"""How long a connection may stay open without a request."""


class PushServer:
    """Listens, and lets the hub look at its deadlines from time to time."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        application = web.Application()
        application.router.add_get(PATH, self._serve)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0, keepalive_timeout=_KEEP_S)
        self._listener = Listener(runner, hub.bounds.streams + hub.bounds.visitors)
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, address: tuple[str, int]) -> tuple[str, int]:
        """Listen; returns the address, with the port that was taken for 0. Raise OSError."""
        bound = await self._listener.start(address)
        self._arm()
        return bound

    async def stop(self) -> None:
        """Accept no more, tell all sidecars, and end."""
        if self._timer is not None:
            self._timer.cancel()
        self._listener.close()
        await self._hub.shutdown()
        await self._listener.stop()

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._hub.bounds.sweep_s, self._sweep)

    def _sweep(self) -> None:
        self._arm()
        self._hub.sweep()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if not is_own_origin(request.headers.get("Origin", "").encode()):
            # Any page that a browser shows may open a WebSocket to loopback.
            return web.Response(status=403, text="no streams for pages of other origins\n")
        hub = self._hub
        transport = request.transport
        if not hub.has_room() or transport is None:
            text = f"{hub.bounds.streams} sidecars are connected already\n"
            return web.Response(status=503, text=text, headers={"Retry-After": "1"})
        ws = web.WebSocketResponse(
            compress=False,
            autoping=False,
            autoclose=False,
            timeout=hub.bounds.close_s,
            max_msg_size=hub.bounds.answer_bytes,
        )
        peer = transport.get_extra_info("peername")
        stream = Stream(hub, ws, transport, format_place(peer[:2]) if peer else "", hub.expiry())
        hub.open(stream)
        try:
            await ws.prepare(request)
            await stream.run()
        finally:
            if ws.prepared:
                stream.end("client", NORMAL, "")
            hub.close(stream)
        return ws
