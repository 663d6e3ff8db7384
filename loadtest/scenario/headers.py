"""Which headers a request may have."""

from __future__ import annotations

import re
from collections.abc import Mapping

RESERVED = frozenset({"content-length", "transfer-encoding", "connection", "upgrade", "x-request-id", "expect"})
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")


def check(headers: Mapping[str, str]) -> None:
    """ValueError, with the path of what is wrong, for the first that cannot be sent or is the generator's."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError("headers: a name is letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 5.6.2)")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"headers.{name}: a value is printable ASCII without space around it (RFC 9110 5.5)")
        if name.lower() in RESERVED:
            raise ValueError(f"headers.{name}: it is set by the generator")
    if sum(name.lower() == "host" for name in headers) > 1:
        raise ValueError("headers: there is one Host (RFC 9112 3.2)")
