"""SPIFFE ids of workloads: `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`.

Grammar of the SPIFFE-ID standard, sections 2.1 to 2.3, narrowed to this one shape of path: every identity of the mesh
has it, and what has another shape could not be named by a policy. Ids are compared byte by byte, so that everything the
standard calls equal after normalization (upper case in the trust domain) is refused instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_ID_BYTES = 2048
MAX_TRUST_DOMAIN_BYTES = 255
MAX_SERVER_NAME_BYTES = 253  # a DNS name, RFC 1035 2.3.4, without the dot of the root
MAX_LABEL_BYTES = 63

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
_SHOWN = 120  # how much of a peer's own words an error repeats


class SpiffeError(ValueError):
    """A SPIFFE id is malformed, or a certificate shows none or another than it must."""


class SpiffeId(NamedTuple):
    """One workload's identity; `str()` gives the URI."""

    trust_domain: str
    namespace: str
    service_account: str

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


def parse(uri: str) -> SpiffeId:
    """The identity in a SPIFFE URI. Raises SpiffeError for anything but the exact shape."""
    if len(uri) > MAX_ID_BYTES:
        raise SpiffeError(f"a SPIFFE id of {len(uri)} characters; at most {MAX_ID_BYTES} are allowed")
    parts = uri.split("/")
    if len(parts) != 7 or parts[:2] != ["spiffe:", ""] or parts[3] != "ns" or parts[5] != "sa":
        raise SpiffeError(f"{_show(uri)} is not of the form spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT")
    trust_domain, namespace, service_account = parts[2], parts[4], parts[6]
    if not _TRUST_DOMAIN.fullmatch(trust_domain) or len(trust_domain) > MAX_TRUST_DOMAIN_BYTES:
        raise SpiffeError(
            f"{_show(uri)}: a trust domain is 1 to {MAX_TRUST_DOMAIN_BYTES} of a-z, 0-9, dot, dash, underscore"
        )
    for segment in (namespace, service_account):
        if not _SEGMENT.fullmatch(segment) or segment in {".", ".."}:
            raise SpiffeError(f"{_show(uri)}: a path segment is made of letters, digits, dot, dash, underscore")
    return SpiffeId(trust_domain, namespace, service_account)


def server_name(identity: SpiffeId) -> str:
    """The SNI by which mesh TLS to `identity` is known; empty when it would be no DNS name (then none is sent)."""
    name = f"{identity.service_account}.{identity.namespace}.sa.{identity.trust_domain}"
    if len(name) > MAX_SERVER_NAME_BYTES or any(not 0 < len(label) <= MAX_LABEL_BYTES for label in name.split(".")):
        return ""
    return name


def from_certificate(certificate: Mapping[str, Any] | None) -> SpiffeId:
    """The identity of a verified peer, from `getpeercert()`: its only URI SAN (X509-SVID standard, section 2).

    Raises SpiffeError when there is no certificate, no URI SAN, or more than one.
    """
    if not certificate:
        raise SpiffeError("the peer shows no certificate")
    uris = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
    if len(uris) != 1:
        raise SpiffeError(
            f"the certificate has {len(uris)} URI subject alternative names; a SPIFFE one has exactly one"
        )
    return parse(uris[0])


def admit_client(certificate: Mapping[str, Any] | None, trust_domain: str) -> SpiffeId:
    """The server's check, after the chain was verified: any identity of our trust domain."""
    peer = from_certificate(certificate)
    if peer.trust_domain != trust_domain:
        raise SpiffeError(f"{_show(str(peer))} is not of the trust domain {trust_domain}")
    return peer


def admit_server(certificate: Mapping[str, Any] | None, expected: str) -> SpiffeId:
    """The client's check, after the chain was verified: exactly the identity that the endpoint is expected to have."""
    peer = from_certificate(certificate)
    if str(peer) != expected:
        raise SpiffeError(f"the endpoint shows {_show(str(peer))}; expected is {_show(expected)}")
    return peer


def _show(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
