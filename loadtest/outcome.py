"""What a caller sees of a request: an HTTP status in digits, or one of these words."""

from __future__ import annotations

REFUSED = "refused"
"""The connection was refused: nothing was sent."""
UNREACHABLE = "connect_timeout"
"""No connection within the request's time, or no way there: nothing was sent."""
UNSENT = "unsent"
"""Never sent: the wait for a connection was longer than the request's time, or too many were waiting."""
NO_SOCKET = "no_socket"
"""This machine had no port, file or memory left for a connection: nothing was sent."""
TIMEOUT = "timeout"
"""Sent, and not answered in full in time."""
RESET = "reset"
"""The connection was reset before the answer was complete."""
CLOSED = "closed"
"""The connection was closed before the first byte of an answer."""
TRUNCATED = "truncated"
"""The connection was closed in the middle of an answer."""
BAD_RESPONSE = "bad_response"
"""What came is not HTTP."""
ABANDONED = "abandoned"
"""The run was ended while the answer was awaited."""

NOT_SENT = frozenset({REFUSED, UNREACHABLE, UNSENT, NO_SOCKET})
"""No byte of such a request left the generator: no origin can have seen it."""

WORDS = {
    REFUSED: "connection refused",
    UNREACHABLE: "no connection in time",
    UNSENT: "not sent in time",
    NO_SOCKET: "no port or file left here",
    TIMEOUT: "no answer in time",
    RESET: "connection reset",
    CLOSED: "closed without an answer",
    TRUNCATED: "answer cut short",
    BAD_RESPONSE: "not an HTTP answer",
    ABANDONED: "run ended first",
}
"""Each word as people read it."""

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be repeated (RFC 9110 9.2.2); a request with another one is a write that must happen once."""
