"""The mesh: a sidecar of the caller and, in a pair, one before every instance; with a control plane or a snapshot."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from loadtest.process import Child
from loadtest.scenario.model import Policy
from loadtest.subjects.identity import NAMESPACE, Authority
from loadtest.subjects.manifests import MANIFESTS, PORT, Document, Endpoint, describe
from loadtest.subjects.plane import Plane
from loadtest.subjects.programs import find
from loadtest.subjects.readiness import until
from loadtest.subjects.sidecar import Sidecar
from loadtest.subjects.snapshot import Snapshot
from loadtest.subjects.subject import Entry, Instance, Origins, Place

CALLER = "caller"


class Source(Protocol):
    """Where sidecars have their configuration from. `is_away`: it cannot be told anything, and tells nothing."""

    flags: Sequence[str]
    command: str
    is_away: bool

    async def start(self) -> None: ...

    async def tell(self, documents: Mapping[str, Sequence[Document]]) -> None: ...

    async def lose(self) -> None: ...

    def children(self) -> Sequence[Child]: ...

    async def stop(self) -> None: ...


class MeshProxy:
    """Sidecars, begun as in a cluster: those of new instances are ready before the instances are announced.

    The sidecar of an instance that was taken away runs until the end, as it outlives the application in a Pod.
    """

    def __init__(self, place: Place, name: str, *, pair: bool = False, mtls: bool = False, file: bool = False) -> None:
        """`pair`: also before every instance; `mtls`: with identities; `file`: from a snapshot."""
        self.name = name
        self._place = place
        self._is_pair = pair
        self._authority = Authority() if mtls else None
        self._program = find("meshproxy")
        self._source: Source = Snapshot(place) if file else Plane(place)
        self._caller: Sidecar | None = None
        self._before: dict[tuple[str, Instance], Sidecar] = {}
        self._origins: Origins = {}
        self._policy = Policy()
        self._shown: dict[str, str] = {}
        self._changing = asyncio.Lock()

    async def start(self, origins: Origins, policy: Policy) -> Mapping[str, Entry]:
        self._origins, self._policy = origins, policy
        await self._source.start()
        self._caller = self._sidecar(CALLER, CALLER, None)
        self._allot()
        await self._source.tell(self._documents())
        self._shown = self._show()
        await self._begin()
        await until(_child(self._caller), self._is_known)
        return self._entries()

    async def update(self, origins: Origins) -> Mapping[str, Entry]:
        """While the control plane is away this is kept until it is back."""
        self._origins = origins
        async with self._changing:
            await self._follow()
        return self._entries()

    async def lose_control_plane(self) -> None:
        await self._source.lose()

    async def regain_control_plane(self) -> None:
        async with self._changing:
            if self._source.is_away:
                await self._source.start()
                await self._follow()

    def configuration(self) -> dict[str, str]:
        return self._shown

    def children(self) -> Sequence[Child]:
        return [*(each.child for each in self._sidecars if each.child is not None), *self._source.children()]

    async def stop(self) -> None:
        """At once: how sidecars drain is no part of a run that is over."""
        for child in self.children():
            child.kill()
        await asyncio.gather(*(child.end() for child in self.children()))
        await self._source.stop()

    async def _follow(self) -> None:
        """Bring everything to the origins as they are now, as far as it can be without a control plane."""
        self._allot()
        await self._begin()
        if not self._source.is_away:
            await self._source.tell(self._documents())

    def _allot(self) -> None:
        """A sidecar for every instance that has none."""
        if not self._is_pair:
            return
        for origin, instances in self._origins.items():
            for instance in instances:
                if (origin, instance) not in self._before:
                    workload = f"{origin}-{instance.number}"
                    self._before[origin, instance] = self._sidecar(workload, origin, instance)

    def _sidecar(self, workload: str, account: str, instance: Instance | None) -> Sidecar:
        flags = list(self._source.flags)
        if self._authority is not None:
            folder = Path("identities", account)
            if not (self._place.folder / folder).exists():
                self._authority.issue(self._place.folder / folder, account)
            flags += ["--identity-dir", str(folder)]
        return Sidecar(self._place, workload, account, flags, instance.address if instance else None)

    async def _begin(self) -> None:
        """Start those that do not run yet, and wait until they are ready; without a control plane they never are."""
        for sidecar in self._sidecars:
            if sidecar.child is None:
                await sidecar.begin(self._program)
        for sidecar in self._sidecars:
            if not (sidecar.was_ready or self._source.is_away):
                await until(_child(sidecar), partial(self._is_ready, sidecar))

    async def _is_ready(self, sidecar: Sidecar) -> bool:
        return self._source.is_away or await sidecar.is_ready()

    async def _is_known(self) -> bool:
        """Whether the caller's sidecar can send a request to every instance, so that none waits for discovery."""
        assert self._caller is not None
        wanted = {
            (f"{NAMESPACE}/{origin}:{PORT}", f"{host}:{port}")
            for origin in self._origins
            for (host, port), _ in self._endpoints(origin)
        }
        return wanted <= await self._caller.endpoints()

    @property
    def _sidecars(self) -> list[Sidecar]:
        return [*([self._caller] if self._caller is not None else []), *self._before.values()]

    def _endpoints(self, origin: str) -> list[Endpoint]:
        if not self._is_pair:
            return [Endpoint(each.address) for each in self._origins[origin]]
        of_it = [self._before[origin, each] for each in self._origins[origin]]
        return [Endpoint(each.inbound, each.workload) for each in of_it]

    def _documents(self) -> dict[str, list[Document]]:
        found = {}
        for origin in self._origins:
            announced = self._endpoints(origin)
            all_ = [Endpoint(each.inbound, each.workload) for (name, _), each in self._before.items() if name == origin]
            gone = [each for each in all_ if each not in announced]
            found[origin] = describe(origin, announced, self._policy, gone)
        return found

    def _entries(self) -> dict[str, Entry]:
        assert self._caller is not None
        return {origin: Entry([self._caller.outbound], f"{origin}.{NAMESPACE}") for origin in self._origins}

    def _show(self) -> dict[str, str]:
        commands = [self._source.command, *(shlex.join(["meshproxy", *each.words]) for each in self._sidecars)]
        folder = self._place.folder / MANIFESTS
        files = {f"{MANIFESTS}/{path.name}": path.read_text() for path in sorted(folder.iterdir())}
        return {"command": "\n".join(commands), **files}


def _child(sidecar: Sidecar) -> Child:
    assert sidecar.child is not None
    return sidecar.child
