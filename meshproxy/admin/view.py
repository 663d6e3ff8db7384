"""What the admin server sees of the sidecar, and the one thing it can do to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from meshproxy.metrics.exposition import Source
from meshproxy.wire.snapshot import Entry


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint of one backend, as it is at this moment."""

    backend: str  # NS/NAME:PORT
    address: str  # ADDR:PORT, IPv6 in brackets
    state: str  # a word of EndpointState.condition
    identity: str  # expected of it; empty when unmeshed
    inflight: int
    ewma_ms: float
    failures: int  # in a row
    ejected_for_s: float  # until it may be probed; 0 when it is not ejected


class View(Protocol):
    """Implemented by the application.

    Both iterables are taken in slices, one per turn of the loop, so they must walk over something that does not change
    meanwhile.
    """

    def metrics(self) -> Source:
        """All metrics, of all processes."""

    def unready(self) -> str:
        """Why requests should not be sent here yet, or any more, in a few words; empty when ready."""

    def resources(self) -> Iterable[Entry]:
        """The configuration in use."""

    async def endpoints(self) -> Iterable[EndpointRow]:
        """All endpoints, grouped by backend."""

    def stream(self) -> dict[str, object]:
        """Where the configuration comes from, and how old it is: values that JSON has."""

    def drain(self) -> None:
        """Begin to drain, as SIGTERM does; a second time changes nothing."""
