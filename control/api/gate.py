"""Who is let in: the right Host, the right token, not too many at once, not too fast."""

from __future__ import annotations

import base64
import hmac
from time import monotonic

from aiohttp import web

from control.api.status import ApiError, too_many
from meshproxy.kit.bucket import Bucket
from meshproxy.kit.loopback import is_local

RATE_PER_S = 2_000.0
BURST = 4_000.0
MAX_UNDER_WAY = 512
"""Requests, watches aside."""


class Gate:
    """Admits requests. `is_loopback`: the API listens where only this machine reaches it."""

    def __init__(self, token: str) -> None:
        self.is_loopback = True
        self.under_way = 0
        self._token = token.encode()
        self._bucket = Bucket(RATE_PER_S, BURST)

    def admit(self, request: web.Request, *, is_open: bool) -> None:
        """Let a request in, or raise ApiError."""
        if self.is_loopback and not is_local(request.headers.get("Host", "").encode("utf-8", "surrogateescape")):
            # A page whose name was rebound to loopback (DNS rebinding).
            raise ApiError("Forbidden", "this Host is not served here; allowed: localhost or a loopback address")
        if not self._bucket.admit(monotonic()):
            raise too_many("too many requests, please try again later")
        if self.under_way >= MAX_UNDER_WAY:
            raise too_many("too many requests under way, please try again later")
        if not is_open and not self._has_token(request):
            raise ApiError("Unauthorized", "Unauthorized", headers={"WWW-Authenticate": "Bearer"})

    def _has_token(self, request: web.Request) -> bool:
        shown = _credential(request.headers.get("Authorization", ""))
        return hmac.compare_digest(shown, self._token)


def _credential(authorization: str) -> bytes:
    """Return the token that a request shows: as Bearer, or as the password of Basic, whoever the user is.

    kubectl sends no Bearer token to an `http://` server, but what stands in the server's URL it does send.
    """
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(given.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""
