"""TLS to the API server: whom we believe, what we show. Certificate and name are always checked."""

from __future__ import annotations

import logging
import os
import ssl
from typing import NamedTuple

from control.kube.failure import SettingsError
from control.kube.material import Material

REREAD_S = 60.0
"""How old what was read of files may be."""

logger = logging.getLogger(__name__)


class Pair(NamedTuple):
    """A client certificate, its chain after it, and its key; PEM."""

    certificate: bytes
    key: bytes


class Trust:
    """Makes contexts of an authority (the system's if there is none) and a client certificate.

    Files are read anew once a minute; a context is made anew when something has changed, and connections made with the
    one before it are not used again.
    """

    __slots__ = ("_authority", "_certificate", "_context", "_key", "_made_of", "_read", "_read_at")

    def __init__(self, authority: Material | None, certificate: Material | None, key: Material | None) -> None:
        self._authority = authority
        self._certificate = certificate
        self._key = key
        self._read: tuple[bytes, Pair | None] | None = None
        self._read_at = 0.0
        self._made_of: tuple[bytes, Pair | None] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self, now: float, given: Pair | None = None) -> ssl.SSLContext:
        """Return the context for a connection that is made now; `given` is what a plugin gave.

        What cannot be used any more (a file half-way through its rotation) leaves the one before it in effect. Raise
        SettingsError if there never was one.
        """
        try:
            return self._fresh(now, given)
        except SettingsError as error:
            if self._context is None:
                raise
            self._read_at = now
            logger.warning("%s; going on with the certificates known before", error)
            return self._context

    def _fresh(self, now: float, given: Pair | None) -> ssl.SSLContext:
        if self._read is None or now - self._read_at >= REREAD_S:
            authority = self._authority.read() if self._authority else b""
            pair = Pair(self._certificate.read(), self._key.read()) if self._certificate and self._key else None
            self._read = (authority, pair)
            self._read_at = now
        authority, pair = self._read
        wanted = (authority, given or pair)
        if self._context is None or wanted != self._made_of:
            self._made_of = wanted  # what fails is not tried again before it has changed
            self._context = self._make(*wanted)
        return self._context

    def _make(self, authority: bytes, pair: Pair | None) -> ssl.SSLContext:
        label = self._authority.label if self._authority else "the system's authorities"
        text = authority.decode("ascii", "ignore")
        if self._authority and not text:  # no text would stand for the system's authorities
            raise SettingsError(f"{label}: no certificates in PEM")
        try:
            context = ssl.create_default_context(cadata=text or None)
        except (ssl.SSLError, ValueError) as error:
            raise SettingsError(f"{label}: no certificates in PEM: {_why(error)}") from None
        # Python 3.13 turned this on. It asks for extensions that authorities of many clusters lack and no other client
        # of Kubernetes asks for; signatures, times, names and uses are checked as ever.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if pair is not None:
            label = self._certificate.label if self._certificate else "the plugin's certificate"
            show(context, pair, label)
        return context


def show(context: ssl.SSLContext, pair: Pair, label: str) -> None:
    """Have connections of a context show a client certificate. Raise SettingsError for one that cannot be used."""
    # OpenSSL reads files only. This one is in memory: no key on a disk, and none is needed that can be written to.
    descriptor = os.memfd_create("certificate")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(pair.certificate + b"\n" + pair.key)
        # Without a password OpenSSL would ask for one, on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    except (ssl.SSLError, ValueError, OSError) as error:
        raise SettingsError(f"{label}: certificate and key cannot be used: {_why(error)}") from None
    finally:
        os.close(descriptor)


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return reason.lower().replace("_", " ") if isinstance(reason, str) else str(error)
