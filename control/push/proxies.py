"""What is told of one connected sidecar."""

from __future__ import annotations

from msgspec import Struct

from meshproxy.wire.problem import Problem


class ProxyRow(
    Struct,
    frozen=True,
    kw_only=True,
    rename={
        "service_account": "serviceAccount",
        "connected_at": "connectedAt",
        "stale_for_s": "staleForS",
        "last_ack_at": "lastAckAt",
        "last_nack": "lastNack",
        "oldest_unacknowledged_s": "oldestUnacknowledgedS",
    },
):
    """One stream. Times of day are RFC 3339 in UTC, empty for never."""

    namespace: str
    name: str
    """The workload's."""
    service_account: str
    version: str
    """Of the sidecar's program."""
    address: str
    connected_at: str
    subscribed: int
    """Names that it follows."""
    synced: bool
    """It has acknowledged the present version of everything that it follows."""
    unacknowledged: int
    """Pushes on their way."""
    stale_for_s: float
    """For how long it has not been synced; 0 when it is."""
    last_ack_at: str
    last_nack: list[Problem]
    """Why it refused what it refused last; empty once it has taken a newer version of that."""
    waiting: list[str]
    """Names that it waits for before what it took last is in effect."""
    oldest_unacknowledged_s: float
    """Age of its oldest push on the way; 0 when there is none."""
