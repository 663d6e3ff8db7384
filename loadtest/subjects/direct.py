"""Nothing between the generator and the instances: what every other subject is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadtest.process import Child
from loadtest.scenario.model import Policy
from loadtest.subjects.subject import Entry, Origins


class Direct:
    """New connections go to the instances in turn, as with kube-proxy in IPVS mode. No policy is carried out."""

    name = "direct"

    async def start(self, origins: Origins, policy: Policy) -> Mapping[str, Entry]:  # noqa: ARG002 - a Subject's
        return _entries(origins)

    async def update(self, origins: Origins) -> Mapping[str, Entry]:
        return _entries(origins)

    async def lose_control_plane(self) -> None:
        """There is none."""

    async def regain_control_plane(self) -> None:
        """There is none."""

    def configuration(self) -> dict[str, str]:
        return {"command": "(nothing is started: connections go to the instances in turn; no timeouts, no retries)"}

    def children(self) -> Sequence[Child]:
        return ()

    async def stop(self) -> None:
        """There is nothing to end."""


def _entries(origins: Origins) -> dict[str, Entry]:
    return {name: Entry([each.address for each in instances], name) for name, instances in origins.items()}
