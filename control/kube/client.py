"""Requests to the API server: bodies as bytes, streams as they come, every failure a KubeError."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from importlib.metadata import version
from types import MappingProxyType
from typing import Literal, NamedTuple

import aiohttp

from control.kube.connection import Connection
from control.kube.failure import KubeError, SettingsError, of_answer
from meshproxy.kit.text import printable

CONNECT_S = 10.0
HEAD_S = 30.0
MAX_BODY = 64 << 20
MAX_COMPLAINT = 64 << 10
"""Of the body of an answer that is not the one hoped for."""
KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""A peer that is gone is noticed in a minute, also by a watch that only listens."""
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Client:
    """Speaks to the API server of one connection. Redirects are not followed, no status is repeated.

    After a 401 the credentials are found anew before the next request. Where a plugin gives them, its time (30 s at
    most) comes before that of the request.
    """

    __slots__ = ("_connection", "_headers", "_responses", "_session")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Nothing compressed: API servers compress lists, not watches, and what inflates would need a bound of its own.
        self._headers = {"User-Agent": f"meshcontrol/{version('meshproxy')}", "Accept-Encoding": "identity"}
        self._session: aiohttp.ClientSession | None = None
        self._responses: set[aiohttp.ClientResponse] = set()  # that are being read

    async def get(
        self,
        path: str,
        query: Mapping[str, str] = _NOTHING,
        *,
        accept: str = "application/json",
        timeout_s: float = 30.0,
    ) -> bytes:
        """Return the body of a 200, of at most MAX_BODY. Raise KubeError for all else, being too late included."""
        return await self._exchange("GET", path, query, {"Accept": accept}, None, timeout_s)

    async def post(self, path: str, body: bytes, *, timeout_s: float = 30.0) -> bytes:
        """Send JSON; return the body of a 200 or 201. Raise KubeError as `get` does."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        return await self._exchange("POST", path, _NOTHING, headers, body, timeout_s)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, accept: str = "application/json", idle_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the body of a 200 as it comes, until its clean end. Raise KubeError.

        The iterator raises it when the connection fails, and when nothing has come for `idle_s`.
        """
        what = f"GET {path}"
        proof = await self._prove()
        async with self._bounded(what, HEAD_S):
            response = await self._open("GET", path, query, {"Accept": accept}, None, proof)
        try:
            async with aclosing(self._chunks(what, response, idle_s)) as chunks:
                yield chunks
        finally:
            self._drop(response)

    async def close(self) -> None:
        """End what is under way; there is nothing after it."""
        await self._connection.credentials.close()
        for response in list(self._responses):  # of a session that is closed they would wait for ever
            self._drop(response)
        if self._session is not None:
            await self._session.close()

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: dict[str, str],
        body: bytes | None,
        limit_s: float,
    ) -> bytes:
        what = f"{method} {path}"
        proof = await self._prove()
        async with self._bounded(what, limit_s):
            response = await self._open(method, path, query, headers, body, proof)
            try:
                taken = await _take(response, MAX_BODY)
            finally:
                self._drop(response)
        if len(taken) > MAX_BODY:
            raise KubeError(f"{what}: the answer is larger than {MAX_BODY} bytes")
        return taken

    async def _chunks(self, what: str, response: aiohttp.ClientResponse, idle_s: float) -> AsyncGenerator[bytes, None]:
        while True:
            async with self._bounded(what, idle_s):
                chunk = await response.content.readany()
            if not chunk:
                return
            yield chunk

    async def _prove(self) -> _Proof:
        connection = self._connection
        try:
            authorization = await connection.credentials.authorization(time.monotonic())
            # After the credentials: a plugin may give a certificate with them.
            trust, pair = connection.trust, connection.credentials.pair
            return _Proof(authorization, trust.context(time.monotonic(), pair) if trust else True)
        except SettingsError as error:
            raise KubeError(str(error)) from None

    async def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: dict[str, str],
        body: bytes | None,
        proof: _Proof,
    ) -> aiohttp.ClientResponse:
        """Return the answer if it is the one hoped for; the body is still to come."""
        connection = self._connection
        if self._session is None:
            self._session = _session(self._headers)
        if proof.authorization:
            headers["Authorization"] = proof.authorization
        response = await self._session.request(
            method,
            connection.url + path,
            params=query,
            headers=headers,
            data=body,
            ssl=proof.tls,
            server_hostname=connection.server_name or None,
            proxy=connection.proxy or None,
            allow_redirects=False,
        )
        self._responses.add(response)
        try:
            if response.status == 401:
                connection.credentials.reject(proof.authorization)
            await self._check(f"{method} {path}", response)
        except BaseException:
            self._drop(response)
            raise
        return response

    def _drop(self, response: aiohttp.ClientResponse) -> None:
        self._responses.discard(response)
        response.close()

    async def _check(self, what: str, response: aiohttp.ClientResponse) -> None:
        if response.status not in {200, 201}:
            body = await _take(response, MAX_COMPLAINT)
            failure = of_answer(what, response.status, body, response.headers.get("Retry-After", ""))
            if failure.code == 401:
                told = f"the credentials of {self._connection.described} are not accepted: {failure}"
                raise KubeError(told, failure.code, failure.reason, failure.retry_after_s)
            raise failure
        coding = response.headers.get("Content-Encoding", "identity")
        if coding != "identity":
            raise KubeError(f"{what} was answered with Content-Encoding {printable(coding[:40])}, unasked for")

    @asynccontextmanager
    async def _bounded(self, what: str, limit_s: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(limit_s):
                yield
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            why = _why(error, self._connection.url) or f"nothing came for {limit_s:g} s"
            raise KubeError(f"{what}: {why}") from None


class _Proof(NamedTuple):
    """What a request is made with: who we are, whom we believe (True where there is no TLS)."""

    authorization: str
    tls: ssl.SSLContext | Literal[True]


def _session(headers: Mapping[str, str]) -> aiohttp.ClientSession:
    # No cookies, no proxies and no passwords of the environment (trust_env), nothing inflated.
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(socket_factory=_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        auto_decompress=False,
    )


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    sock = socket.socket(*address[:3])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock


async def _take(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body, or the beginning of it that is longer than `most`."""
    taken: list[bytes] = []
    left = most
    while left >= 0 and (chunk := await response.content.readany()):
        taken.append(chunk)
        left -= len(chunk)
    return b"".join(taken)


def _why(error: aiohttp.ClientError | OSError, url: str) -> str:
    """Return in words how there came to be no answer, or no more of it; empty if time ran out."""
    match error:
        case aiohttp.ServerTimeoutError():
            return f"no connection to {url} within {CONNECT_S:g} s"
        case aiohttp.ClientConnectorCertificateError():
            inner = error.certificate_error
            return f"the certificate of {url} is refused: {getattr(inner, 'verify_message', '') or inner}"
        case aiohttp.ClientProxyConnectionError():
            return f"cannot connect to the proxy of {url}: {_reason(error.os_error)}"
        case aiohttp.ClientConnectorSSLError():
            return f"TLS with {url} failed: {_reason(error.os_error)}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {url}: {_reason(error.os_error)}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy of {url} answered {error.status}"
        case aiohttp.ClientPayloadError():
            return "the answer was cut off"
        case aiohttp.ServerDisconnectedError():
            return f"{url} closed the connection without an answer"
        case aiohttp.ClientResponseError():
            return f"the answer of {url} is no HTTP"
        case OSError() if not isinstance(error, TimeoutError) or error.errno is not None:
            return f"the connection to {url} broke: {_reason(error)}"
        case TimeoutError():
            return ""
    return f"{url} could not be asked: {type(error).__name__}"


def _reason(error: OSError) -> str:
    told = getattr(error, "reason", None)  # an SSLError's; its number is no errno
    if told is None and error.errno is not None and error.errno > 0:
        told = os.strerror(error.errno)
    return printable(str(told or error.strerror or error or type(error).__name__))
