"""Who we are to the API server: the value of Authorization, and when it is found anew."""

from __future__ import annotations

import base64
import logging
from typing import Protocol

from control.kube.failure import SettingsError
from control.kube.material import Material
from control.kube.tls import REREAD_S, Pair

logger = logging.getLogger(__name__)


class Credentials(Protocol):
    """`now` is monotonic seconds."""

    @property
    def pair(self) -> Pair | None:
        """The client certificate that came with the last `authorization`, if any."""

    async def authorization(self, now: float) -> str:
        """Return the value of Authorization for a request that is made now, empty for none.

        Raise SettingsError for files, KubeError for plugins.
        """

    def reject(self, value: str) -> None:
        """The API server answered 401 to `value`: what it came from is asked again before the next request."""

    async def close(self) -> None:
        """End whatever is under way."""


class Fixed:
    """A value that stays."""

    __slots__ = ("_value", "pair")

    def __init__(self, value: str = "") -> None:
        self._value = value
        self.pair: Pair | None = None

    async def authorization(self, now: float) -> str:  # noqa: ARG002 - it is the same at all times
        return self._value

    def reject(self, value: str) -> None:
        pass

    async def close(self) -> None:
        pass


class TokenFile:
    """A token that somebody else renews: the kubelet, an hour before it ends."""

    __slots__ = ("_file", "_is_rejected", "_read_at", "_value", "pair")

    def __init__(self, file: Material) -> None:
        self._file = file
        self._value = ""
        self._read_at = 0.0
        self._is_rejected = False
        self.pair: Pair | None = None

    async def authorization(self, now: float) -> str:
        if self._is_rejected or not self._value or now - self._read_at >= REREAD_S:
            self._read(now)
        return self._value

    def reject(self, value: str) -> None:
        self._is_rejected = self._is_rejected or value == self._value

    async def close(self) -> None:
        pass

    def _read(self, now: float) -> None:
        try:
            self._value = bearer(self._file.read(), self._file.label)
        except SettingsError as error:
            if not self._value:
                raise
            logger.warning("%s; going on with the token known before", error)
        self._read_at = now
        self._is_rejected = False


def bearer(token: bytes, label: str) -> str:
    """Return the value of Authorization for a token. Raise SettingsError for what is none (RFC 6750 2.1)."""
    text = token.strip().decode("ascii", "replace")
    if not text or not all("!" <= char <= "~" for char in text):
        raise SettingsError(f"{label}: is no token: empty, or with characters that a token cannot have")
    return f"Bearer {text}"


def basic(username: str, password: str) -> str:
    """Return the value of Authorization for a name and a password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
