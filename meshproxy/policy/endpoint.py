"""What a sidecar knows of one endpoint of a backend, beyond its address: load, latency, failures."""

from __future__ import annotations

from typing import Any, TypeAlias

from meshproxy.wire.resources import Endpoint

Key: TypeAlias = tuple[str, int, str]


def key_of(spec: Endpoint) -> Key:
    """What makes an endpoint the same one in an update. Another identity at a reused address is a stranger."""
    return spec.address, spec.port, spec.identity


class EndpointState:
    """Lives as long as its endpoint is named by updates; requests in flight may hold it longer.

    The caller raises and lowers `inflight`, and keeps its connections in `pool`. The rest is the balancer's.
    """

    __slots__ = (
        "ejected", "failures", "grown", "inflight", "load", "penalties", "penalty_s", "pool", "probe_until",
        "readmitted", "retry_at", "spec",
    )  # fmt: skip

    def __init__(self, spec: Endpoint) -> None:
        self.spec = spec
        self.inflight = 0
        self.pool: Any = None
        # Peak-EWMA, in the balancer's growing scale (see Balancer).
        self.load = 0.0
        self.grown = 0.0
        # Outlier ejection; all of it idle while `failures`, the failed attempts in a row, is 0.
        self.failures = 0
        self.ejected = False
        self.penalties = 0  # ejections in a row, forgiven by time in service
        self.penalty_s = 0.0  # how long the latest ejection lasts until it is probed
        self.retry_at = 0.0
        self.probe_until = 0.0
        self.readmitted = 0.0

    def __repr__(self) -> str:
        return f"<Endpoint {self.spec.address}:{self.spec.port} {self.condition} inflight={self.inflight}>"

    @property
    def key(self) -> Key:
        return key_of(self.spec)

    @property
    def condition(self) -> str:
        """One word for metrics and admin: ready | ejected | terminating | unready."""
        if self.ejected:
            return "ejected"
        if self.spec.ready:
            return "ready"
        return "terminating" if is_last_resort(self.spec) else "unready"


def is_ready(spec: Endpoint) -> bool:
    """The endpoint takes new requests."""
    return spec.ready and spec.weight > 0


def is_last_resort(spec: Endpoint) -> bool:
    """On its way out but still answering: used when no endpoint is ready (EndpointSlice conditions)."""
    return spec.serving and spec.terminating and spec.weight > 0
