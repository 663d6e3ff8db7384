"""From an exception to a word: what failed when a connection was made, to an endpoint or by a client."""

from __future__ import annotations

import asyncio
import errno
import ssl

from meshproxy.faults import (
    CONNECT_FAILED,
    CONNECT_REFUSED,
    CONNECT_TIMEOUT,
    IDENTITY_MISMATCH,
    INTERNAL,
    OUT_OF_DESCRIPTORS,
    TLS_FAILURE,
    Fault,
)
from meshproxy.tls.spiffe import SpiffeError

STARVED = frozenset({errno.EMFILE, errno.ENFILE})
_NO_DESCRIPTOR = STARVED | {errno.ENOBUFS, errno.ENOMEM}

# X.509 verification errors that say "not vouched for by our bundle" (X509_V_ERR_* of OpenSSL's x509_vfy.h): issuer not
# found (2, 20), signature wrong (7), self-signed (18, 19), leaf unverifiable (21), untrusted (27), rejected (28).
_UNTRUSTED = frozenset({2, 7, 18, 19, 20, 21, 27, 28})
_NOT_YET_VALID, _EXPIRED = 9, 10

REFUSALS = ("certificate_missing", "closed", "expired", "identity", "other", "protocol", "timeout", "untrusted")
"""The words of `refusal`, so that a metric can have all its label values from the start."""


def classify(exc: BaseException, *, is_tls: bool = False) -> Fault:
    """The fault of an attempt to connect to an endpoint, its TLS handshake and check of identity included.

    `is_tls` says that TLS was to be spoken: an end of the connection is then the handshake's failure.
    """
    if isinstance(exc, ssl.SSLCertVerificationError):
        return IDENTITY_MISMATCH if exc.verify_code in _UNTRUSTED else TLS_FAILURE
    if isinstance(exc, SpiffeError):
        return IDENTITY_MISMATCH
    if isinstance(exc, (ssl.SSLError, UnicodeDecodeError)):  # the latter: a name in the certificate is no text
        return TLS_FAILURE
    if isinstance(exc, (TimeoutError, asyncio.TimeoutError)):
        return CONNECT_TIMEOUT
    if isinstance(exc, ConnectionRefusedError):
        return CONNECT_REFUSED
    if isinstance(exc, ConnectionAbortedError) and is_tls:  # how uvloop reports a handshake that takes too long
        return TLS_FAILURE
    if isinstance(exc, OSError):
        if exc.errno in _NO_DESCRIPTOR:
            return OUT_OF_DESCRIPTORS
        return TLS_FAILURE if is_tls and isinstance(exc, ConnectionError) else CONNECT_FAILED
    return INTERNAL


def refusal(exc: BaseException | None) -> str:
    """Why an accepted TLS connection came to nothing, one of REFUSALS; None is an end without an error."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return "expired" if exc.verify_code in {_NOT_YET_VALID, _EXPIRED} else "untrusted"
    if isinstance(exc, SpiffeError):
        return "identity"
    if isinstance(exc, ssl.SSLError):
        return "certificate_missing" if exc.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE" else "protocol"
    if isinstance(exc, (TimeoutError, asyncio.TimeoutError, ConnectionAbortedError)):
        return "timeout"
    if exc is None or isinstance(exc, ConnectionError):
        return "closed"
    return "other"
