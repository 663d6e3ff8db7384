"""The bounds of the push stream."""

from __future__ import annotations

from msgspec import Struct

from meshproxy.wire.stream import MAX_NAMES, PING_S


class Bounds(Struct, frozen=True, kw_only=True):
    """What one control plane grants, in total and to each stream. Times are seconds, sizes bytes."""

    streams: int = 2_000
    visitors: int = 512
    """Connections beside those of the streams: they have not asked for one yet, or have ended theirs."""
    names: int = MAX_NAMES
    """Names that one sidecar follows, and as many that it says it holds."""
    services: int = 256
    """Services that one `service/NS/*` stands for."""
    push_bytes: int = 256 * 1024
    """The greatest Push, unless one resource alone is greater."""
    window_bytes: int = 1024 * 1024
    """Pushes on their way to one sidecar; one alone may be greater."""
    window_pushes: int = 8
    frame_bytes: int = 1024 * 1024
    """The greatest message from a sidecar, but for an Answer that was asked for."""
    answer_bytes: int = 4 * 1024 * 1024
    hello_s: float = 5.0
    unacknowledged_s: float = 30.0
    ping_s: float = PING_S
    silent_s: float = 2 * PING_S
    age_s: float = 1_800.0
    """After this long a sidecar is sent to try again, so that replicas come to even shares."""
    age_spread: float = 0.2
    """Its share of the age, more or less, by chance."""
    close_s: float = 2.0
    """How long the other end may take to answer a close."""
    sweep_s: float = 1.0
    """How often deadlines are looked at."""
    asks: int = 8
    all_asks: int = 32
    """Of all sidecars together; each may be answered at length."""
    asks_per_s: float = 20.0
    ask_s: float = 5.0
