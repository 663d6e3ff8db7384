"""Our own identity: three PEM files checked together and made into the two TLS contexts.

`tls.crt` is our certificate and its intermediates, `tls.key` its unencrypted key, `ca.crt` the bundle under which we
and all peers are verified. The flags name the namespace and the service account that the certificate must be of; the
trust domain is taken from the certificate itself, since whoever writes the files also decides what `ca.crt` trusts.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from meshproxy.kit.stamp import stamp_second
from meshproxy.tls import spiffe

ALPN = ["http/1.1"]
SKEW_S = 20.0
"""How far our clock may be from the issuer's before our own certificate's dates are held against it."""

MAX_PEM_BYTES = {"tls.crt": 65_536, "tls.key": 65_536, "ca.crt": 1_048_576}

_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module gives no name
_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


class IdentityError(Exception):
    """The identity cannot be used; the text is one sentence for the operator and holds no key material."""


class Files(NamedTuple):
    """The three files as read at one time. Never shown: `key` is secret."""

    certificate: bytes
    key: bytes
    bundle: bytes

    def __repr__(self) -> str:
        return "<Files>"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are and the contexts that prove it. Times are wall clock, seconds since the epoch."""

    id: spiffe.SpiffeId
    not_before_s: float
    not_after_s: float
    server: ssl.SSLContext
    client: ssl.SSLContext


def read(directory: Path) -> Files:
    """The files of an identity directory, each bounded in size. Raises IdentityError."""
    return Files(*(_read(directory / name, limit) for name, limit in MAX_PEM_BYTES.items()))


def build(files: Files, namespace: str, service_account: str, at_s: float) -> Identity:
    """The identity that `files` make up, checked at wall time `at_s`. Raises IdentityError.

    Both contexts shake hands with each other in memory: key, chain, bundle, usages and dates are thereby judged by the
    same code that will judge them on connections, in both roles, and our certificate is read back on the way.
    """
    _check_pem(files)
    server, client = _context(files, is_server=True), _context(files, is_server=False)
    try:
        certificate = _shake(server, client)
    except ssl.SSLCertVerificationError as exc:
        if exc.verify_code not in (_NOT_YET_VALID, _EXPIRED):
            raise IdentityError(f"tls.crt does not verify under ca.crt: {exc.verify_message}") from None
        certificate = _dated(files, exc, at_s)
    except ssl.SSLError as exc:
        raise IdentityError(f"a TLS handshake with ourselves fails: {_reason(exc)}") from None
    try:
        own = spiffe.from_certificate(certificate)
    except spiffe.SpiffeError as exc:
        raise IdentityError(f"tls.crt: {exc}") from None
    if (own.namespace, own.service_account) != (namespace, service_account):
        raise IdentityError(
            f"tls.crt is of namespace {own.namespace!r}, service account {own.service_account!r} ({own}), but this "
            f"sidecar was started for namespace {namespace!r}, service account {service_account!r}"
        )
    not_before_s, not_after_s = _dates(certificate)
    return Identity(own, not_before_s, not_after_s, server, client)


def control(files: Files) -> ssl.SSLContext:
    """The context of a client that knows its server by a name that `ca.crt` vouches for. Raises IdentityError."""
    _check_pem(files)
    context = _context(files, is_server=False)
    context.check_hostname = True
    return context


def _read(path: Path, limit: int) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a FIFO would stop the loop
            raise IdentityError(f"{path} is not a regular file")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as exc:
        raise IdentityError(f"{path} cannot be read: {exc.strerror}") from None
    if len(content) > limit:
        raise IdentityError(f"{path} is larger than {limit} bytes")
    return content


def _check_pem(files: Files) -> None:
    """Names the file that is no PEM at all; OpenSSL's own message would not."""
    for name, content, label in zip(
        MAX_PEM_BYTES, files, (b"CERTIFICATE", b"PRIVATE KEY", b"CERTIFICATE"), strict=True
    ):
        if label + b"-----" not in content:
            raise IdentityError(f"{name} holds no PEM block of type {label.decode()}")


def _context(files: Files, *, is_server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # names are not what we trust: the SPIFFE id is compared after the handshake
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(ALPN)
    if is_server:
        # No resumption: every connection proves its certificate anew, under the bundle of today.
        context.num_tickets = 0
    try:
        _load(context, files)
    except OSError as exc:  # of descriptors or memory; what is wrong with the files is told by _load
        raise IdentityError(f"the identity cannot be loaded: {exc.strerror}") from None
    return context


def _load(context: ssl.SSLContext, files: Files) -> None:
    with _path(files.certificate) as certificate, _path(files.key) as key, _path(files.bundle) as bundle:
        try:
            context.load_cert_chain(certificate, key, password=_refuse_password)
        except ssl.SSLError as exc:
            if exc.reason == "KEY_VALUES_MISMATCH":
                raise IdentityError("tls.key is not the key of tls.crt") from None
            raise IdentityError(f"tls.crt and tls.key cannot be loaded: {_reason(exc)}") from None
        try:
            context.load_verify_locations(bundle)
        except ssl.SSLError as exc:
            raise IdentityError(f"ca.crt cannot be loaded: {_reason(exc)}") from None


def _refuse_password() -> str:
    # Without a callback OpenSSL would ask on the terminal and wait.
    raise IdentityError("tls.key is encrypted; only an unencrypted key can be loaded")


@contextmanager
def _path(content: bytes) -> Iterator[str]:
    """A path to `content` in memory: contexts load from paths only, and must load the very bytes that were read."""
    fd = os.memfd_create("identity", os.MFD_CLOEXEC)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{fd}"


def _shake(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    """A handshake between the two in memory; the client's certificate as the server sees it. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        accepted := server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):  # two turns are what TLS 1.3 takes; an end that is done already does nothing
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return accepted.getpeercert() or {}


def _dated(files: Files, failure: ssl.SSLCertVerificationError, at_s: float) -> dict[str, Any]:
    """Our certificate, though OpenSSL finds a date wrong, if it is ours and within the skew. Raises IdentityError."""
    server, client = _context(files, is_server=True), _context(files, is_server=False)
    for context in (server, client):
        context.verify_flags |= _NO_CHECK_TIME
    try:
        certificate = _shake(server, client)
    except ssl.SSLError as exc:
        raise IdentityError(f"tls.crt does not verify under ca.crt: {_reason(exc)}") from None
    not_before_s, not_after_s = _dates(certificate)
    if at_s > not_after_s + SKEW_S:
        raise IdentityError(f"tls.crt has expired at {stamp_second(not_after_s)}")
    if at_s < not_before_s - SKEW_S:
        raise IdentityError(f"tls.crt is not valid before {stamp_second(not_before_s)}")
    if not_before_s <= at_s <= not_after_s:
        raise IdentityError(f"a certificate above tls.crt, in its chain or in ca.crt: {failure.verify_message}")
    return certificate


def _dates(certificate: dict[str, Any]) -> tuple[float, float]:
    return ssl.cert_time_to_seconds(certificate["notBefore"]), ssl.cert_time_to_seconds(certificate["notAfter"])


def _reason(exc: ssl.SSLError) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return exc.verify_message
    return exc.reason.lower().replace("_", " ") if exc.reason else "malformed PEM"
