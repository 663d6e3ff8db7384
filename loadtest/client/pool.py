"""The connections to one origin: a bounded number, used in turn, and the requests that wait for one."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from time import monotonic

from loadtest.client.call import Call
from loadtest.client.connection import Connection
from loadtest.client.plan import Address
from loadtest.client.slow import SlowConnection
from loadtest.outcome import ABANDONED, NO_SOCKET, REFUSED, RESET, TIMEOUT, UNREACHABLE, UNSENT

log = logging.getLogger(__name__)

MOST_WAITING = 100_000
"""Requests that wait for a connection; any more are not sent at all."""
_OWN_LIMITS = frozenset({errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Settle = Callable[[Call, "int | str", float, bool], None]
"""Told of every request once: its outcome, the moment in seconds of the run, whether any of it may have been sent."""


class Pool:
    """Gives each request an idle connection, the longest idle first, or a new one, or lets it wait its turn.

    A new connection goes to the next of the addresses, and belongs to the request that it was dialed for: what becomes
    of the dial becomes of that request. Idle ones are not used until there are as many connections as addresses, so
    that a light load reaches every address. Nothing is repeated: a request that meets the end of an idle connection
    has that for its outcome, closed or reset, where a library might have sent it once more (RFC 9112 9.3.1).
    """

    __slots__ = (
        "_addresses", "_at_s", "_dialing", "_has_warned", "_idle", "_limit", "_loop", "_settle", "_slow", "_timeout_s",
        "_turn", "_under_way", "_waiting", "open",
    )  # fmt: skip

    def __init__(self, addresses: Sequence[Address], turn: int, limit: int, timeout_s: float, settle: Settle) -> None:
        self._loop = asyncio.get_running_loop()
        self._addresses = addresses
        self._turn = turn
        self._limit = limit
        self._timeout_s = timeout_s
        self._settle = settle
        self._at_s = 0.0
        self.open = 0
        """Connections that are open or being dialed."""
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        """The longest idle first."""
        self._waiting: deque[Call] = deque()
        self._under_way: dict[int, Connection] = {}
        """By number, in the order of their intended starts, which is the one in which they run out of time."""
        self._dialing: dict[Connection, asyncio.Task[None]] = {}
        self._slow: set[SlowConnection] = set()
        self._has_warned = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def established(self) -> int:
        return self.open - len(self._dialing)

    def start(self, at_s: float) -> None:
        """The run starts at this moment of CLOCK_MONOTONIC."""
        self._at_s = at_s

    def retarget(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses

    def send(self, call: Call) -> None:
        """Sends a request that is due as soon as there is a connection for it."""
        if not self._waiting:
            can_share = not call.kind.is_single and self.open >= min(len(self._addresses), self._limit)
            if can_share and (connection := self._free()) is not None:
                self._under_way[call.number] = connection
                connection.begin(call)
                return
            if self.open < self._limit:
                self._dial(call)
                return
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(call)
            if call.kind.is_single and self._idle:
                self._serve(monotonic() - self._at_s)
        else:
            self._settle(call, UNSENT, monotonic() - self._at_s, False)

    def _free(self) -> Connection | None:
        idle = self._idle
        while idle:
            connection, _ = idle.popitem(last=False)
            if connection.is_open:
                return connection
        return None

    def _serve(self, now_s: float) -> None:
        """Lets those that wait go, as far as there are connections for them."""
        waiting = self._waiting
        while waiting:
            call = waiting[0]
            if call.intended_s <= now_s - self._timeout_s:
                self._settle(waiting.popleft(), UNSENT, now_s, False)
            elif not call.kind.is_single and (connection := self._free()) is not None:
                self._under_way[call.number] = connection
                connection.begin(waiting.popleft())
            elif self.open < self._limit:
                self._dial(waiting.popleft())
            elif self._idle:
                self._idle.popitem(last=False)[0].close()  # makes room for one of its own
            else:
                return

    # What a connection tells.

    def on_made(self, connection: Connection) -> None:
        del self._dialing[connection]
        if isinstance(connection, SlowConnection):
            self._slow.add(connection)

    def on_answered(self, connection: Connection, status: int, can_go_on: bool) -> None:
        call = connection.call
        assert call is not None
        connection.call = None
        del self._under_way[call.number]
        now_s = monotonic() - self._at_s
        if can_go_on:
            self._idle[connection] = None
            if self._waiting:
                self._serve(now_s)
        else:
            connection.close()
        self._settle(call, status, now_s, True)

    def on_broken(self, connection: Connection, outcome: str) -> None:
        """The answer will not be complete."""
        call = connection.call
        assert call is not None
        del self._under_way[call.number]
        connection.close()
        self._settle(call, outcome, monotonic() - self._at_s, True)

    def on_lost(self, connection: Connection) -> None:
        """It is gone, or was never made."""
        self._idle.pop(connection, None)
        self.open -= 1
        if self._waiting:
            self._serve(monotonic() - self._at_s)

    # Time.

    def tick(self, now_s: float) -> None:
        """Gives up what is out of time, and lets slow readers read on."""
        last_s = now_s - self._timeout_s
        while self._waiting and self._waiting[0].intended_s <= last_s:
            self._settle(self._waiting.popleft(), UNSENT, now_s, False)
        while self._under_way:
            connection = next(iter(self._under_way.values()))
            assert connection.call is not None
            if connection.call.intended_s > last_s:
                break
            self._give_up(connection, TIMEOUT, UNREACHABLE, now_s)
        if self._slow:
            self._slow = {connection for connection in self._slow if connection.is_open}
            for connection in self._slow:
                connection.read_on(monotonic())

    def stop(self, now_s: float) -> None:
        """Gives up everything, and closes every connection."""
        while self._waiting:
            self._settle(self._waiting.popleft(), ABANDONED, now_s, False)
        while self._under_way:
            self._give_up(next(iter(self._under_way.values())), ABANDONED, ABANDONED, now_s)
        while self._idle:
            self._idle.popitem(last=False)[0].close()

    def _give_up(self, connection: Connection, sent: str, unsent: str, now_s: float) -> None:
        call = connection.call
        assert call is not None
        del self._under_way[call.number]
        connection.close()
        if (dial := self._dialing.pop(connection, None)) is None:
            self._settle(call, sent, now_s, True)
        else:
            dial.cancel()
            self.on_lost(connection)
            self._settle(call, unsent, now_s, False)

    # Dialing.

    def _dial(self, call: Call) -> None:
        address = self._addresses[self._turn % len(self._addresses)]
        self._turn += 1
        self.open += 1
        connection = SlowConnection(self, call) if call.kind.read_rate else Connection(self, call)
        self._under_way[call.number] = connection
        self._dialing[connection] = self._loop.create_task(self._connect(connection, address))

    async def _connect(self, connection: Connection, address: Address) -> None:
        try:
            await connection.dial(self._loop, address)
        except OSError as error:
            # Kept no longer than this: it refers to this frame, and the collector is off.
            outcome = self._outcome(error, address)
        else:
            return
        call = connection.call
        if call is None or self._dialing.pop(connection, None) is None:
            return
        del self._under_way[call.number]
        connection.call = None
        self.on_lost(connection)
        self._settle(call, outcome, monotonic() - self._at_s, False)

    def _outcome(self, error: OSError, address: Address) -> str:
        if isinstance(error, ConnectionRefusedError):
            return REFUSED
        if isinstance(error, ConnectionResetError):
            return RESET
        if not self._has_warned:
            self._has_warned = True
            log.warning("no connection to %s:%d: %s", *address, error)
        return NO_SOCKET if error.errno in _OWN_LIMITS else UNREACHABLE
