"""Paths as routes see them.

A route is matched on the path that a server would arrive at: escapes of unreserved characters are decoded, other
escapes written in upper case, and dot segments removed (RFC 3986 6.2.2). Else `/public/../admin` and `/%61dmin` would
pass by the rules for `/admin`. What is ambiguous stays as it is: `//` is not merged, and an encoded slash is no slash,
as with Envoy. Only matching and rewriting see this form; a path that no rule rewrites is forwarded as received.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _unescape_unreserved(found: re.Match[bytes]) -> bytes:
    code = int(found[1], 16)
    return bytes((code,)) if code in _UNRESERVED else found[0].upper()


def normalize(path: bytes) -> bytes:
    """The path in RFC 3986's normal form; never above the root. Malformed escapes stay as they are."""
    if b"%" in path:
        path = _ESCAPE.sub(_unescape_unreserved, path)
    if b"/." not in path:
        return path
    kept: list[bytes] = []
    segments = path.split(b"/")
    for segment in segments[1:]:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)


def decode(text: bytes) -> bytes:
    """A name or value of a query (application/x-www-form-urlencoded); malformed escapes stay as they are."""
    text = text.replace(b"+", b" ")
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text) if b"%" in text else text


def first_params(query: bytes, wanted: frozenset[bytes]) -> dict[bytes, bytes]:
    """Of the wanted parameters those that the query has, each with its first value, decoded."""
    params: dict[bytes, bytes] = {}
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        name = decode(name)
        if name in wanted and name not in params:
            params[name] = decode(value)
    return params
