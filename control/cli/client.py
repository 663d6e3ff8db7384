"""The REST API as meshctl speaks it: one connection that is kept, errors in words."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec

from control.cli.credential import Credential
from control.cli.failure import ApiError, Failure, Unreachable
from control.model.kinds import Kind

DEFAULT_API = "http://127.0.0.1:15010"
TIMEOUT_S = 30.0
WATCH_S = 300
"""A watch is asked for this long, and then again from where it ended."""
MAX_BODY_BYTES = 512 * 1024 * 1024
MAX_EVENT_BYTES = 16 * 1024 * 1024
MAX_PATIENCE_S = 60.0
"""So long one request waits, all in all, for a control plane that says 429."""

JSON_MEDIA = "application/json"
APPLY_MEDIA = "application/apply-patch+yaml"
MERGE_MEDIA = "application/merge-patch+json"
TABLE_MEDIA = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Answer(NamedTuple):
    """`is_new`: the object was created by this request."""

    document: Any
    is_new: bool


def place_of(kind: Kind, namespace: str = "", name: str = "", version: str = "") -> str:
    """Return the path of a collection (over all namespaces when `namespace` is empty), or of one object."""
    path = kind.root(version or kind.versions[0])
    if namespace:
        path += f"/namespaces/{quote(namespace, safe='')}"
    path += f"/{kind.plural}"
    return f"{path}/{quote(name, safe='')}" if name else path


class Client:
    """One control plane. Every call raises Unreachable when it does not answer and ApiError when it refuses."""

    __slots__ = ("_connection", "_credential", "_timeout_s", "_url")

    def __init__(self, url: str, credential: Credential, timeout_s: float = TIMEOUT_S) -> None:
        self._url = _checked(url)
        self._credential = credential
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, *, media: str = JSON_MEDIA, **query: str) -> Any:
        """Read a document."""
        return _document(self._exchange("GET", path, query, media=media)[1])

    def text(self, path: str) -> str:
        """Read something that need not be JSON."""
        return self._exchange("GET", path, {}, media="*/*")[1].decode("utf-8", "replace")

    def patch(self, path: str, document: Any, media: str, **query: str) -> Answer:
        status, body = self._exchange("PATCH", path, query, _encode(document), media)
        return Answer(_document(body), status == 201)

    def delete(self, path: str, **query: str) -> Any:
        return _document(self._exchange("DELETE", path, query)[1])

    def watch(self, path: str, *, media: str = JSON_MEDIA, **query: str) -> Iterator[Any]:
        """Yield events until the server ends the watch. It has a connection of its own."""
        connection = self._open(WATCH_S + self._timeout_s)
        try:
            query |= {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S)}
            response = self._request(connection, "GET", path, query, None, media)
            if response.status != 200:
                raise self._error(response.status, response.read(MAX_EVENT_BYTES))
            while line := response.readline(MAX_EVENT_BYTES):
                if not line.endswith(b"\n"):
                    raise Failure(f"an event of the watch is larger than {MAX_EVENT_BYTES} bytes or was cut off")
                yield _document(line)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(
        self, method: str, path: str, query: dict[str, str], body: bytes | None = None, media: str = JSON_MEDIA
    ) -> tuple[int, bytes]:
        """Send a request; wait and send it again while the control plane asks for patience."""
        patience_s = MAX_PATIENCE_S
        while True:
            response = self._answer(method, path, query, body, media)
            data = self._read(response)
            if response.status < 400:
                return response.status, data
            wait_s = _wait_s(response)
            if response.status != 429 or wait_s > patience_s:
                raise self._error(response.status, data)
            patience_s -= wait_s
            time.sleep(wait_s)

    def _answer(
        self, method: str, path: str, query: dict[str, str], body: bytes | None, media: str
    ) -> http.client.HTTPResponse:
        """A kept connection may have been closed meanwhile: what may be repeated is then sent once more."""
        is_kept = self._connection is not None
        if self._connection is None:
            self._connection = self._open(self._timeout_s)
        try:
            return self._request(self._connection, method, path, query, body, media)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if is_kept and isinstance(error, ConnectionError) and (method == "GET" or media == APPLY_MEDIA):
                return self._answer(method, path, query, body, media)
            raise self._unreachable(error) from None

    def _request(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: dict[str, str],
        body: bytes | None,
        media: str,
    ) -> http.client.HTTPResponse:
        headers = {"Accept": media if body is None else JSON_MEDIA, "User-Agent": "meshctl"}
        if body is not None:
            headers["Content-Type"] = media
        if self._credential.token:
            headers["Authorization"] = f"Bearer {self._credential.token}"
        target = self._url.path.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        connection.request(method, target, body, headers)
        return connection.getresponse()

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            data = response.read(MAX_BODY_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from None
        if len(data) > MAX_BODY_BYTES:
            self.close()
            raise Failure(f"the control plane's answer is larger than {MAX_BODY_BYTES} bytes")
        return data

    def _open(self, timeout_s: float) -> http.client.HTTPConnection:
        assert self._url.hostname is not None
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        return kind(self._url.hostname, self._url.port, timeout=timeout_s)

    def _unreachable(self, error: Exception) -> Unreachable:
        place = self._url.geturl()
        if isinstance(error, TimeoutError):
            return Unreachable(f"the control plane at {place} did not answer within {self._timeout_s:g} s")
        if isinstance(error, ssl.SSLCertVerificationError):
            return Unreachable(
                f"the certificate of the control plane at {place} is not trusted: {error.verify_message}\n"
                "The certificates to trust are the system's, or those of the file that SSL_CERT_FILE names."
            )
        if isinstance(error, OSError) and not isinstance(error, (ConnectionResetError, BrokenPipeError)):
            return Unreachable(
                f"cannot connect to the control plane at {place}: {error.strerror or error}\n"
                "Is it running? Start one by `meshcontrol run`, or name another by --api or MESHCTL_API."
            )
        return Unreachable(f"the control plane at {place} broke the connection off: {error or type(error).__name__}")

    def _error(self, code: int, data: bytes) -> ApiError:
        status = _status(data)
        reason = str(status.get("reason") or http.client.responses.get(code, code))
        if code == 401:
            given = f"the token from {self._credential.source} was refused"
            missing = f"there is no token: looked for MESHCTL_TOKEN, --token-file and {self._credential.source}"
            text = given if self._credential.token else missing
        else:
            text = _said(status) or f"the control plane answered {code} without a reason"
        return ApiError(f"Error from server ({reason}): {text}", code, reason, text)


def _checked(url: str) -> SplitResult:
    """The token must not travel in plain text, nor be given to whoever a typing error names."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Failure(f"--api {url}: {error}") from None
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment or parts.username:
        raise Failure(f"--api {url}: is no address; allowed: http://HOST:PORT on loopback, https://HOST:PORT")
    if parts.scheme == "http" and not _is_loopback(host):
        raise Failure(f"--api {url}: the token would travel in plain text; allowed beyond loopback: https://")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wait_s(response: http.client.HTTPResponse) -> float:
    """How long a 429 asks to wait, at least 50 ms; a date (RFC 9110 10.2.3) counts as a second."""
    text = response.getheader("Retry-After", "1")
    return max(float(text), 0.05) if text.isdecimal() and len(text) < 6 else 1.0


def _document(data: bytes) -> Any:
    try:
        return _decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Failure(f"the control plane's answer is not understood: {error}") from None


def _status(data: bytes) -> dict[str, Any]:
    try:
        status = _decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return status if isinstance(status, dict) else {}


def _said(status: dict[str, Any]) -> str:
    """Return a Status's message, and on lines of their own the causes that it does not mention itself."""
    message = str(status.get("message") or "")
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    untold = [
        f"  {cause.get('field') or ''}: {cause.get('message')}"
        for cause in (causes if isinstance(causes, list) else ())
        if isinstance(cause, dict) and str(cause.get("message")) not in message
    ]
    return "\n".join([message, *untold])
