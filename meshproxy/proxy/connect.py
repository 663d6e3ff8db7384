"""Making a connection to an endpoint: plain, or mTLS with the identity that the endpoint is expected to have."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from meshproxy.faults import INTERNAL, Fault
from meshproxy.proxy.classify import classify
from meshproxy.tls import spiffe
from meshproxy.wire.resources import Endpoint

if TYPE_CHECKING:
    from meshproxy.metrics.family import Family
    from meshproxy.proxy.upstream import Upstream
    from meshproxy.tls.reload import IdentityStore

log = logging.getLogger(__name__)

SHUTDOWN_S = 1.0
"""How long a closed TLS connection waits for the other side's close_notify."""
NO_TIMEOUT_S = 3600.0
"""The handshake has no bound of its own: the dial's deadline covers it."""


class Connector:
    """With an identity, meshed endpoints are never spoken to in plain text; without one they are, and it is told."""

    __slots__ = ("_is_told", "_loop", "_plain_to_meshed", "identities")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, identities: IdentityStore | None, plain_to_meshed: Family
    ) -> None:
        self._loop = loop
        self.identities = identities
        self._plain_to_meshed = plain_to_meshed
        self._is_told = False

    async def connect(self, upstream: Upstream, backend: str, spec: Endpoint) -> None:
        """Establish `upstream`. Raises OSError, or SpiffeError when the endpoint has another identity."""
        if not spec.meshed:
            await self._loop.create_connection(lambda: upstream, spec.address, spec.port)
        elif self.identities is None:
            self._tell_plain(backend, spec)
            await self._loop.create_connection(lambda: upstream, spec.address, spec.port)
        else:
            await self._connect_tls(upstream, spec, self.identities)

    def explain(self, error: Exception, spec: Endpoint) -> tuple[Fault, str]:
        """The fault of a failed `connect`, and a detail for the operator."""
        fault = classify(error, is_tls=spec.meshed and self.identities is not None)
        if fault is INTERNAL:
            log.error("connecting to %s:%s failed by a defect", spec.address, spec.port, exc_info=error)
            return fault, ""
        reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
        return fault, f"{spec.address}:{spec.port}: {reason}" if reason else f"{spec.address}:{spec.port}"

    async def _connect_tls(self, upstream: Upstream, spec: Endpoint, identities: IdentityStore) -> None:
        expected = spiffe.parse(spec.identity)
        transport, _ = await self._loop.create_connection(
            lambda: upstream,
            spec.address,
            spec.port,
            ssl=identities.current.client,
            server_hostname=spiffe.server_name(expected),
            ssl_handshake_timeout=NO_TIMEOUT_S,
            ssl_shutdown_timeout=SHUTDOWN_S,
        )
        try:
            spiffe.admit_server(transport.get_extra_info("peercert"), spec.identity)
        except spiffe.SpiffeError:
            upstream.abandon()
            raise

    def _tell_plain(self, backend: str, spec: Endpoint) -> None:
        self._plain_to_meshed.add(backend)
        if not self._is_told:
            self._is_told = True
            log.warning(
                "no identity (--identity-dir) is given: meshed endpoints, such as %s:%s, are called in plain text",
                spec.address,
                spec.port,
            )
