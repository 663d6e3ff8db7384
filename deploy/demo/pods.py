"""The manifests, and what there is to start for them: an application and a sidecar for every Pod."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from deploy.demo.client import Address

MANIFESTS = Path(__file__).with_name("manifests")
NAMESPACE = "shop"
BASE = 15000
"""The admin's port in the manifests' world; the others stand at fixed distances from it."""


class Pod(NamedTuple):
    """An instance; every Pod has an address of its own and the same ports, as on a cluster."""

    name: str
    account: str
    ip: str
    base: int

    @property
    def admin(self) -> Address:
        return self.ip, self.base

    @property
    def outbound(self) -> Address:
        return self.ip, self.base + 1

    @property
    def inbound(self) -> Address:
        return self.ip, self.base + 6

    @property
    def app(self) -> Address:
        return self.ip, self.base + 80

    @property
    def is_caller(self) -> bool:
        """The front end is the one that calls others."""
        return self.account == "front"

    @property
    def addresses(self) -> list[Address]:
        """All that it listens on."""
        return [self.admin, self.inbound, self.app, *([self.outbound] if self.is_caller else [])]


def write(directory: Path, base: int) -> list[Pod]:
    """Write the manifests to `directory`, with the inbound port that belongs to `base`, and give their Pods."""
    pods = []
    for source in sorted(MANIFESTS.glob("*.yaml")):
        text = source.read_text().replace(f"port: {BASE + 6}\n", f"port: {base + 6}\n")
        (directory / source.name).write_text(text)
        for item in yaml.safe_load_all(text):
            if item["kind"] == "Pod":
                spec, status = item["spec"], item["status"]
                pods.append(Pod(item["metadata"]["name"], spec["serviceAccountName"], status["podIP"], base))
    return pods


def show(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
