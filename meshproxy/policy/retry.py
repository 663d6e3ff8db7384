"""What may be repeated. A request that an application may have acted on is never executed twice by us.

What is provably unprocessed is repeated whatever its method and without being asked for. A kept-alive connection that
ends before any byte of the response proves nothing; it is repeated once, for idempotent methods (RFC 9110 9.2.2, RFC
9112 9.3.1). The rest is repeated only where the HTTPRoute's `retry` asks for it, and only for idempotent methods: its
`codes`, and, as GEP-1731 has it, lost connections and attempts that ran into `timeouts.backendRequest`.

The caller asks `decide` when an attempt has ended badly and nothing of its response was passed on, then the retry
budget; both must agree. The first repetition goes at once, to an endpoint not tried yet; later ones wait (`delay_s`).
So the route's `backoff` is the base of the waits from the second repetition on, not a least wait before the first.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from meshproxy.kit.backoff import backoff
from meshproxy.wire import resources as wire

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""RFC 9110 9.2.2. Methods that nobody knows are taken for not idempotent, as POST and PATCH are."""
UNPROCESSED_LIMIT = 2
"""Repetitions of a request, unless its route allows more: enough for a stale address and a connection that closes."""
BASE_S = 0.025
CAP_FACTOR = 10
"""The longest wait, in bases: 250 ms unless the route sets another base."""


class Ending(Enum):
    """How an attempt ended, as far as it is known. The value is the `reason` of `meshproxy_retries_total`."""

    CONNECT = "connect"
    """No connection came to be: refused, unreachable, TLS handshake, wrong identity."""
    CONNECT_TIMEOUT = "connect_timeout"
    """No connection came to be in time: its own, or that of `timeouts.backendRequest`."""
    UNWRITTEN = "unwritten"
    """The connection ended, and no byte of the request had been written to it."""
    UNREAD = "unread"
    """A reused connection ended by FIN before any byte of the response, and its peer's kernel had acknowledged nothing
    of the request: the proof that DEFAULTS asks for. A reset is never this."""
    REUSED = "reused"
    """A reused connection ended before any byte of the response, without that proof."""
    RESET = "reset"
    """Any other connection that ended before the response's head was complete."""
    STATUS = "status"
    """The response's status, which was not passed on yet."""
    ATTEMPT_TIMEOUT = "attempt_timeout"
    """`timeouts.backendRequest` ran out on a connection, before the response's head."""


UNPROCESSED = frozenset((Ending.CONNECT, Ending.CONNECT_TIMEOUT, Ending.UNWRITTEN, Ending.UNREAD))
"""What proves that the request was not processed."""


class Decision:
    """Repeat. `wait`: after `delay_s`. `fresh`: on a new connection, not a pooled one. `reason`: for the metric."""

    __slots__ = ("fresh", "reason", "wait")

    def __init__(self, reason: str, wait: bool, fresh: bool) -> None:
        self.reason = reason
        self.wait = wait
        self.fresh = fresh

    def __repr__(self) -> str:
        return f"<Repeat {self.reason}{' wait' if self.wait else ''}{' fresh' if self.fresh else ''}>"


_AT_ONCE = {ending: Decision(ending.value, wait=False, fresh=ending is Ending.REUSED) for ending in Ending}
_LATER = {ending: Decision(ending.value, wait=True, fresh=False) for ending in Ending}


class RetryPolicy:
    """An HTTPRoute's `retry`, compiled. `attempts` counts repetitions; 0 turns every repetition off."""

    __slots__ = ("attempts", "base_s", "cap_s", "codes")

    def __init__(self, retry: wire.Retry) -> None:
        self.codes = frozenset(retry.codes)
        self.attempts = retry.attempts
        self.base_s = retry.backoff_s
        self.cap_s = retry.backoff_s * CAP_FACTOR


def decide(
    method: bytes,
    ending: Ending,
    policy: RetryPolicy | None,
    repeats: int,
    raced: bool,
    replayable: bool,
    status: int = 0,
) -> Decision | None:
    """Whether to repeat after an attempt that ended so; None is to give up.

    `repeats` were made already, among them one for REUSED if `raced`. `replayable`: all that was taken of the request's
    body can be sent again (it is still in the replay buffer, or there was nothing). `status` belongs to STATUS.
    """
    if not replayable or (policy is not None and policy.attempts <= 0):
        return None
    if ending in UNPROCESSED:
        limit = UNPROCESSED_LIMIT if policy is None else max(UNPROCESSED_LIMIT, policy.attempts)
    elif method not in IDEMPOTENT:
        return None
    elif ending is Ending.REUSED and not raced and repeats < UNPROCESSED_LIMIT:
        return _AT_ONCE[ending]
    elif policy is None or (ending is Ending.STATUS and status not in policy.codes):
        return None
    else:
        limit = policy.attempts
    if repeats >= limit:
        return None
    return _LATER[ending] if repeats else _AT_ONCE[ending]


def delay_s(policy: RetryPolicy | None, repeats: int, rng: Callable[[], float]) -> float:
    """How long the next repetition waits when its decision says `wait`; `repeats` (1 or more) were made already."""
    if policy is None:
        return backoff(repeats - 1, BASE_S, BASE_S * CAP_FACTOR, rng)
    return backoff(repeats - 1, policy.base_s, policy.cap_s, rng)
