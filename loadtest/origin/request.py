"""A request as an instance sees it, and what can be done to whoever sent it, in no protocol's words."""

from __future__ import annotations

from typing import Protocol

from loadtest.origin.faults import Rule
from loadtest.origin.ledger import UNKNOWN
from loadtest.origin.traffic import BEFORE


class Request:
    """One request. `number` counts from 1 on its connection; `id` is its x-request-id, empty if there is none.

    `bin`, `key`, `life`, `fault` and `sent` (pieces of a slow body) are the instance's; `mark` is the caller's own.
    """

    __slots__ = ("bin", "caller", "fault", "has_body", "id", "key", "life", "mark", "number", "sent")

    def __init__(self, caller: Caller, number: int, request_id: bytes, has_body: bool, mark: int) -> None:
        self.caller = caller
        self.number = number
        self.id = request_id
        self.has_body = has_body
        """Whether its answer has one: not that to a HEAD."""
        self.mark = mark
        self.bin = BEFORE
        self.key = UNKNOWN
        self.life = 0
        self.fault: Rule | None = None
        self.sent = 0


class Caller(Protocol):
    """Who sent a request. Nothing happens when it is gone, or when the request is not the one that it waits for."""

    def waits_for(self, request: Request) -> bool:
        """Whether an answer to it would still leave."""
        ...

    def answer(self, request: Request, status: int, body: bytes) -> None:
        """The whole answer."""
        ...

    def begin(self, request: Request, status: int, body: bytes) -> None:
        """The answer up to its body, which follows by `send`."""
        ...

    def send(self, request: Request, piece: memoryview, is_last: bool) -> None: ...

    def truncate(self, request: Request, status: int, body: bytes) -> None:
        """Half of the body, or half of the head when there is no body, and then the end of the connection."""
        ...

    def close(self) -> None:
        """The orderly end of the connection, whatever was asked."""
        ...

    def reset(self) -> None:
        """The disorderly one."""
        ...

    def close_idle(self, after_s: float) -> None:
        """The end of the connection so long from now, without a word, if nothing more was asked by then."""
        ...
