from __future__ import annotations

import errno
import os
import ssl

import pytest

from meshproxy import faults
from meshproxy.proxy.classify import REFUSALS, classify, refusal
from meshproxy.tls.spiffe import SpiffeError


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def verification(code: int) -> ssl.SSLCertVerificationError:
    exc = ssl.SSLCertVerificationError(1, "certificate verify failed")
    exc.verify_code = code
    exc.verify_message = "flawed"
    return exc


def tls(reason: str) -> ssl.SSLError:
    exc = ssl.SSLError(1, reason)
    exc.reason = reason
    return exc


@pytest.mark.parametrize(
    ("exc", "plain", "with_tls"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), faults.CONNECT_REFUSED, faults.CONNECT_REFUSED),
        (TimeoutError(), faults.CONNECT_TIMEOUT, faults.CONNECT_TIMEOUT),
        (os_error(errno.ETIMEDOUT), faults.CONNECT_TIMEOUT, faults.CONNECT_TIMEOUT),
        (os_error(errno.ENETUNREACH), faults.CONNECT_FAILED, faults.CONNECT_FAILED),
        (os_error(errno.EHOSTUNREACH), faults.CONNECT_FAILED, faults.CONNECT_FAILED),
        (os_error(errno.EADDRNOTAVAIL), faults.CONNECT_FAILED, faults.CONNECT_FAILED),
        (os_error(errno.EACCES), faults.CONNECT_FAILED, faults.CONNECT_FAILED),
        (os_error(errno.EMFILE), faults.OUT_OF_DESCRIPTORS, faults.OUT_OF_DESCRIPTORS),
        (os_error(errno.ENFILE), faults.OUT_OF_DESCRIPTORS, faults.OUT_OF_DESCRIPTORS),
        (os_error(errno.ENOBUFS), faults.OUT_OF_DESCRIPTORS, faults.OUT_OF_DESCRIPTORS),
        (os_error(errno.ECONNRESET), faults.CONNECT_FAILED, faults.TLS_FAILURE),
        (os_error(errno.EPIPE), faults.CONNECT_FAILED, faults.TLS_FAILURE),
        (ConnectionAbortedError("handshake"), faults.CONNECT_FAILED, faults.TLS_FAILURE),
        (tls("WRONG_VERSION_NUMBER"), faults.TLS_FAILURE, faults.TLS_FAILURE),
        (ssl.SSLEOFError(8, "EOF"), faults.TLS_FAILURE, faults.TLS_FAILURE),
        (verification(10), faults.TLS_FAILURE, faults.TLS_FAILURE),
        (verification(9), faults.TLS_FAILURE, faults.TLS_FAILURE),
        (verification(26), faults.TLS_FAILURE, faults.TLS_FAILURE),
        (verification(20), faults.IDENTITY_MISMATCH, faults.IDENTITY_MISMATCH),
        (verification(18), faults.IDENTITY_MISMATCH, faults.IDENTITY_MISMATCH),
        (verification(19), faults.IDENTITY_MISMATCH, faults.IDENTITY_MISMATCH),
        (verification(7), faults.IDENTITY_MISMATCH, faults.IDENTITY_MISMATCH),
        (SpiffeError("another"), faults.IDENTITY_MISMATCH, faults.IDENTITY_MISMATCH),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), faults.TLS_FAILURE, faults.TLS_FAILURE),
        (KeyError("defect"), faults.INTERNAL, faults.INTERNAL),
    ],
)
def test_each_failure_to_connect_has_its_fault(exc: BaseException, plain: faults.Fault, with_tls: faults.Fault) -> None:
    assert classify(exc) is plain
    assert classify(exc, is_tls=True) is with_tls


@pytest.mark.parametrize(
    ("exc", "word"),
    [
        (None, "closed"),
        (ConnectionResetError(), "closed"),
        (BrokenPipeError(), "closed"),
        (ConnectionAbortedError("handshake"), "timeout"),
        (TimeoutError(), "timeout"),
        (tls("PEER_DID_NOT_RETURN_A_CERTIFICATE"), "certificate_missing"),
        (tls("UNSUPPORTED_PROTOCOL"), "protocol"),
        (verification(10), "expired"),
        (verification(9), "expired"),
        (verification(20), "untrusted"),
        (SpiffeError("another"), "identity"),
        (KeyError("defect"), "other"),
    ],
)
def test_each_failed_handshake_of_a_client_has_its_word(exc: BaseException | None, word: str) -> None:
    assert refusal(exc) == word
    assert word in REFUSALS
