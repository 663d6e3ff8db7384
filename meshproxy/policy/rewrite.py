"""URL rewrites and redirects of a route, compiled (Gateway API HTTPURLRewriteFilter, HTTPRequestRedirectFilter)."""

from __future__ import annotations

import re

from meshproxy.policy.path import normalize
from meshproxy.wire import resources as wire
from meshproxy.wire.rules import REDIRECT_CODES

PORTS = {b"http": b"80", b"https": b"443"}

_PATH = re.compile(r"[!$%&'()*+,\-./0-9:;=@A-Z_a-z~]*")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9\-.]*[A-Za-z0-9])?")


class PathEdit:
    """Replaces the path, or the prefix that the rule's match has matched."""

    __slots__ = ("_value", "by_prefix")

    def __init__(self, modifier: wire.PathModifier) -> None:
        if not _PATH.fullmatch(modifier.value):
            raise ValueError(f"{modifier.value!r} is no path: only a path's characters, without query or fragment")
        self.by_prefix = isinstance(modifier, wire.ReplacePrefixMatch)
        value = modifier.value.encode()
        if value and not value.startswith(b"/"):
            value = b"/" + value
        self._value = value.rstrip(b"/") if self.by_prefix else value or b"/"

    def apply(self, path: bytes, prefix: bytes | None) -> bytes:
        """`path` is in normal form; `prefix` (see Match) is only None if the edit is not `by_prefix`."""
        if not self.by_prefix or prefix is None:
            return self._value
        rest = path[len(prefix) :]
        if self._value:
            return self._value + rest
        # `//host` would be read as an authority by some.
        return b"/" + rest.lstrip(b"/")


class Rewrite:
    """A compiled URLRewrite. `hostname` is empty when the host stays as it is."""

    __slots__ = ("hostname", "path")

    def __init__(self, rewrite: wire.URLRewrite) -> None:
        self.hostname = _hostname(rewrite.hostname)
        self.path = PathEdit(rewrite.path) if rewrite.path is not None else None

    def target(self, path: bytes, query: bytes, prefix: bytes | None) -> bytes | None:
        """The new request target, None when it stays as received. The query is kept; `prefix` is `Match.prefix`."""
        if self.path is None:
            return None
        path = self.path.apply(normalize(path), prefix)
        return path + b"?" + query if query else path


class Redirect:
    """A compiled RequestRedirect."""

    __slots__ = ("_hostname", "_path", "_port", "_scheme", "status")

    def __init__(self, redirect: wire.RequestRedirect) -> None:
        if redirect.scheme not in ("", "http", "https"):
            raise ValueError(f"scheme {redirect.scheme!r} is neither http nor https")
        if redirect.status_code not in REDIRECT_CODES:
            raise ValueError(f"status code {redirect.status_code} is none of {', '.join(map(str, REDIRECT_CODES))}")
        if not 0 <= redirect.port <= 65535:
            raise ValueError(f"port {redirect.port} is not from 1 to 65535")
        self._scheme = redirect.scheme.encode()
        self._hostname = _hostname(redirect.hostname)
        self._port = str(redirect.port).encode() if redirect.port else b""
        self._path = PathEdit(redirect.path) if redirect.path is not None else None
        self.status = redirect.status_code

    @property
    def path(self) -> PathEdit | None:
        return self._path

    def location(
        self, authority: bytes, path: bytes, query: bytes, prefix: bytes | None, scheme: bytes = b"http"
    ) -> bytes:
        """The Location: absolute, or a path alone when neither the request (HTTP/1.0) nor the redirect names a host.

        `scheme` is the request's. Without a port of its own the redirect takes that of its scheme, and without a scheme
        the request's port; a scheme's well-known port is left out.
        """
        if self._path is not None:
            path = self._path.apply(normalize(path), prefix)
        host, port = split_port(authority)
        host = self._hostname or host
        if not host:
            return _with_query(b"/" + path.lstrip(b"/"), query)
        port = self._port or (b"" if self._scheme else port)
        scheme = self._scheme or scheme
        place = scheme + b"://" + host
        if port and port != PORTS[scheme]:
            place += b":" + port
        return _with_query(place + path, query)


def split_port(authority: bytes) -> tuple[bytes, bytes]:
    """Host and port of an authority; the port is empty when there is none, an IPv6 literal keeps its brackets."""
    host, colon, port = authority.rpartition(b":")
    if not colon or b"]" in port:
        return authority, b""
    return host, port


def _with_query(path: bytes, query: bytes) -> bytes:
    return path + b"?" + query if query else path


def _hostname(name: str) -> bytes:
    if name and not _HOST.fullmatch(name):
        raise ValueError(f"hostname {name!r} is not a DNS name")
    return name.encode()
