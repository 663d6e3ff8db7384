"""An address that is already there: nothing is started, and nothing about it is known."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from loadtest.process import Child
from loadtest.scenario.model import Policy
from loadtest.subjects.subject import Address, Entry, Origins, SubjectError

_PORT = 80


class There:
    """What is for any origin goes to one address; whatever answers there is told neither instances nor policy."""

    def __init__(self, url: str) -> None:
        """`http://HOST[:PORT]`, nothing behind. SubjectError for another text."""
        self.name = url
        self._authority, self._host, self._port = _parse(url)
        self._address: Address | None = None

    async def start(self, origins: Origins, policy: Policy) -> Mapping[str, Entry]:  # noqa: ARG002 - a Subject's
        """Looks a name up, once: the generator does not spend time on that. SubjectError when nobody knows it."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, family=socket.AF_INET, type=socket.SOCK_STREAM)
        except OSError as error:
            raise SubjectError(f"{self.name}: {self._host} has no IPv4 address ({error.strerror})") from None
        self._address = str(found[0][4][0]), self._port
        return self._entries(origins)

    async def update(self, origins: Origins) -> Mapping[str, Entry]:
        return self._entries(origins)

    async def lose_control_plane(self) -> None:
        """There is none that we know of."""

    async def regain_control_plane(self) -> None:
        """There is none that we know of."""

    def configuration(self) -> dict[str, str]:
        return {
            "command": f"(nothing is started: every request goes to {self._authority}, which is told neither the "
            "origins' instances nor the policy)"
        }

    def children(self) -> Sequence[Child]:
        return ()

    async def stop(self) -> None:
        """It is not ours to end."""

    def _entries(self, origins: Origins) -> dict[str, Entry]:
        assert self._address is not None
        return dict.fromkeys(origins, Entry([self._address], self._authority))


def _parse(url: str) -> tuple[str, str, int]:
    """Its authority, host and port."""
    if url.startswith("https://"):
        raise SubjectError(f"{url}: the generator does not speak TLS; give an http:// address")
    form = f"{url}: that is no address; allowed: http://HOST or http://HOST:PORT, and nothing behind it"
    try:
        parts = urlsplit(url)
        port = _PORT if parts.port is None else parts.port
    except ValueError as error:
        raise SubjectError(f"{form} ({error})") from None
    has_more = parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme != "http" or not parts.hostname or has_more or port == 0:
        raise SubjectError(form)
    try:
        parts.hostname.encode("idna")
    except UnicodeError as error:
        raise SubjectError(f"{form} ({parts.hostname} is no name of a host: {error})") from None
    return parts.netloc, parts.hostname, port
