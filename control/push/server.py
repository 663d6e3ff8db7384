"""Where sidecars connect: a WebSocket on the push address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

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
    """Listens, and lets the hub look at its deadlines from time to time.

    `unready` says why sidecars cannot be told anything yet; empty when they can. Until then they are sent away: to whom
    nothing is known yet, everything would seem to be gone.
    """

    def __init__(self, hub: Hub, unready: Callable[[], str] = str) -> None:
        self._hub = hub
        self._unready = unready
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
        if reason := self._unready():
            return web.Response(status=503, text=f"{reason}\n", headers={"Retry-After": "1"})
        hub = self._hub
        transport = request.transport
        if not hub.has_room() or transport is None:
            text = f"{hub.bounds.streams} sidecars are connected already\n"
            return web.Response(status=503, text=text, headers={"Retry-After": "1"})
        ws = web.WebSocketResponse(compress=False, autoping=False, autoclose=False, timeout=hub.bounds.close_s)
        if not ws.can_prepare(request).ok:
            return web.Response(status=400, text="a WebSocket is spoken here (RFC 6455, version 13)\n")
        peer = transport.get_extra_info("peername")
        stream = Stream(hub, transport, request.protocol, format_place(peer[:2]) if peer else "", hub.expiry())
        hub.open(stream)
        # Before the handshake is answered: a client sends nothing until then.
        transport.set_protocol(stream)
        try:
            await ws.prepare(request)
            stream.is_open = True
            await stream.run()
        finally:
            stream.end("client", NORMAL, "")
            hub.close(stream)
        return ws
