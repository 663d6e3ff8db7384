"""What stands between a server's TLS handshake and the protocol behind it: the check of the client's identity."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from meshproxy.tls import spiffe
from meshproxy.tls.spiffe import SpiffeError

TLSFactory = Callable[[str], asyncio.BaseProtocol]
"""Makes the protocol of one TLS connection from the verified SPIFFE id of its client."""


class Gate(asyncio.Protocol):
    """Takes an accepted TLS transport after the handshake; a client of our trust domain is handed to a new protocol.

    Any other is aborted before a byte of it was read, and no protocol is ever made for it. Afterwards either `peer` is
    the client's SPIFFE id, or `refusal` says why not, or both are empty: the handshake did not complete.
    """

    __slots__ = ("_factory", "_trust_domain", "peer", "refusal")

    def __init__(self, factory: TLSFactory, trust_domain: str) -> None:
        self._factory = factory
        self._trust_domain = trust_domain
        self.peer = ""
        self.refusal = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Runs before the first decrypted byte is delivered, so that the protocol can still be exchanged."""
        transport = cast("asyncio.Transport", transport)
        try:
            peer = spiffe.admit_client(transport.get_extra_info("peercert"), self._trust_domain)
        except SpiffeError as exc:
            self.refusal = str(exc)
            transport.abort()
            return
        self.peer = str(peer)
        protocol = self._factory(self.peer)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
