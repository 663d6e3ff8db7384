"""Envoy between the generator and the origins, alone or as an mTLS pair."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from loadtest.outcome import IDEMPOTENT
from loadtest.process import Child, ChildError
from loadtest.scenario.model import Policy
from loadtest.subjects.identity import Authority, spiffe_id
from loadtest.subjects.programs import find
from loadtest.subjects.readiness import until
from loadtest.subjects.subject import Address, Entry, Origins, Place, SubjectError
from loadtest.subjects.templates import render

_OUTBOUND = 15001
_INBOUND = 15006
_ADMIN = 15000
_CLIENT = "client"
"""The service account of the generator's side."""
_ENDPOINTS = Path("endpoints")
_IDENTITIES = Path("identities")
"""Paths are relative to the folder that it runs in: what people see is the same in every run."""


class Envoy:
    """One Envoy that all requests go through; with `mtls` a second before every instance, which accepts only the first.

    Endpoints reach it as EDS from a file. It has no control plane that could be lost.
    """

    def __init__(self, place: Place, *, mtls: bool = False) -> None:
        self.name = "envoy-mtls" if mtls else "envoy"
        self._program = str(find("envoy"))
        self._place = place
        self._authority = Authority() if mtls else None
        self._listen = place.block.address()
        self._children: list[Child] = []
        self._servers: dict[Address, Address] = {}
        self._shown: dict[str, str] = {}

    async def start(self, origins: Origins, policy: Policy) -> Mapping[str, Entry]:
        (self._place.folder / _ENDPOINTS).mkdir()
        for origin in origins:
            self._issue(origin)
        self._issue(_CLIENT)
        await self._tell(origins)
        for origin in origins:
            file = _ENDPOINTS / f"{origin}.yaml"
            self._shown[str(file)] = (self._place.folder / file).read_text()
        text = render(
            "envoy.yaml.jinja",
            origins=list(origins),
            policy=policy,
            listen=self._listen,
            endpoints=_ENDPOINTS,
            idempotent=sorted(IDEMPOTENT),
            tls=_IDENTITIES / _CLIENT if self._authority else None,
            spiffe_id=spiffe_id,
        )
        await self._begin("envoy", text, (self._listen, _OUTBOUND))
        return self._entries(origins)

    async def update(self, origins: Origins) -> Mapping[str, Entry]:
        await self._tell(origins)
        return self._entries(origins)

    async def lose_control_plane(self) -> None:
        """Nothing: files are not lost."""

    async def regain_control_plane(self) -> None:
        """Nothing: files are not lost."""

    def configuration(self) -> dict[str, str]:
        return dict(self._shown)

    def children(self) -> Sequence[Child]:
        return tuple(self._children)

    async def stop(self) -> None:
        for child in self._children:
            child.kill()
        for child in self._children:
            await child.end()

    def _entries(self, origins: Origins) -> dict[str, Entry]:
        return {origin: Entry([(self._listen, _OUTBOUND)], f"{origin}.load") for origin in origins}

    async def _tell(self, origins: Origins) -> None:
        """Replaces the files of endpoints by a move, which Envoy watches for. Servers of a pair come first."""
        for origin, instances in origins.items():
            endpoints = [instance.address for instance in instances]
            if self._authority:
                endpoints = [await self._server(origin, each.number, each.address) for each in instances]
            new = self._place.folder / f"{origin}.yaml.new"
            new.write_text(render("envoy-endpoints.yaml.jinja", origin=origin, endpoints=endpoints))
            new.replace(self._place.folder / _ENDPOINTS / f"{origin}.yaml")

    async def _server(self, origin: str, number: int, app: Address) -> Address:
        """The Envoy before one instance. It stays when the instance goes, so that what is in work can be finished."""
        if app not in self._servers:
            listen = self._place.block.address()
            text = render(
                "envoy-server.yaml.jinja",
                origin=origin,
                app=app,
                listen=listen,
                tls=_IDENTITIES / origin,
                client_id=spiffe_id(_CLIENT),
            )
            await self._begin(f"envoy-{origin}-{number}", text, (listen, _INBOUND))
            self._servers[app] = (listen, _INBOUND)
        return self._servers[app]

    async def _begin(self, name: str, text: str, listens: Address) -> None:
        file = f"{name}.yaml"
        (self._place.folder / file).write_text(text)
        # Hot restart shares memory by a number that several Envoys of a machine would fight for.
        flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        command = [self._program, "--config-path", file, *flags]
        self._shown[file] = text
        self._shown[f"{name}: command"] = " ".join(command)
        try:
            child = await Child.begin(name, command, cwd=self._place.folder, cores=self._place.cores)
        except ChildError as error:
            raise SubjectError(str(error)) from None
        self._children.append(child)
        await until(child, lambda: _is_live(listens))

    def _issue(self, account: str) -> None:
        if self._authority:
            self._authority.issue(self._place.folder / _IDENTITIES / account, account)


async def _is_live(listens: Address) -> bool:
    """Whether its clusters are warmed, by its admin interface (HTTP/1.1 only), and it accepts connections."""
    try:
        reader, writer = await asyncio.open_connection(listens[0], _ADMIN)
        try:
            writer.write(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status = (await reader.readline()).split()[1:2]
        finally:
            await _close(writer)
        _, writer = await asyncio.open_connection(*listens)
        await _close(writer)
    except OSError:
        return False
    return status == [b"200"]


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
