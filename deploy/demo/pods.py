"""The manifests, and what there is to start for them: an application and a sidecar for every Pod."""

from __future__ import annotations

import copy
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

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

    def successor(self, names: Collection[str]) -> Pod:
        """Another instance of the same, with the first number that none of `names` has."""
        service, _, number = self.name.rpartition("-")
        network, _, last = self.ip.rpartition(".")
        free = next(n for n in range(1, 255) if f"{service}-{n}" not in names)
        address = int(last) - int(number) + free
        return self._replace(name=f"{service}-{free}", ip=f"{network}.{address}")


class Manifests:
    """The manifests as they are applied, written to `directory`, with the inbound port that belongs to `base`."""

    def __init__(self, directory: Path, base: int) -> None:
        self.directory = directory
        self._base = base
        self._pods: dict[str, dict[str, Any]] = {}
        self._slices: list[dict[str, Any]] = []
        for source in sorted(MANIFESTS.glob("*.yaml")):
            text = source.read_text().replace(f"port: {BASE + 6}\n", f"port: {base + 6}\n")
            (directory / source.name).write_text(text)
            for item in yaml.safe_load_all(text):
                if item["kind"] == "Pod":
                    self._pods[item["metadata"]["name"]] = item
                elif item["kind"] == "EndpointSlice":
                    self._slices.append(item)

    @property
    def pods(self) -> list[Pod]:
        return [
            Pod(name, item["spec"]["serviceAccountName"], item["status"]["podIP"], self._base)
            for name, item in self._pods.items()
        ]

    def add(self, pod: Pod, like: Pod) -> Path:
        """Write what is to be applied when `pod` comes, and `like` is still there."""
        item = copy.deepcopy(self._pods[like.name])
        item["metadata"]["name"] = pod.name
        item["status"]["podIP"] = pod.ip
        self._pods[pod.name] = item
        entry, slice_ = self._find(like)
        added = copy.deepcopy(entry)
        added["addresses"] = [pod.ip]
        added["targetRef"]["name"] = pod.name
        slice_["endpoints"].append(added)
        return self._write("arrival.yaml", item, slice_)

    def remove(self, pod: Pod) -> Path:
        """Write what is to be applied before `pod` goes."""
        del self._pods[pod.name]
        entry, slice_ = self._find(pod)
        slice_["endpoints"].remove(entry)
        return self._write("departure.yaml", slice_)

    def _find(self, pod: Pod) -> tuple[dict[str, Any], dict[str, Any]]:
        """The entry of a Pod, and the slice that it stands in."""
        return next(
            (entry, slice_)
            for slice_ in self._slices
            for entry in slice_["endpoints"]
            if entry["targetRef"]["name"] == pod.name
        )

    def _write(self, name: str, *items: dict[str, Any]) -> Path:
        path = self.directory.with_name(name)
        path.write_text(yaml.safe_dump_all(items, sort_keys=False))
        return path


def show(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
