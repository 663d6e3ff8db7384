"""Parts that many objects have in common, kept once.

A hundred thousand endpoints stand on a few hundred nodes in three zones and have a handful of conditions, and the Pods
of one Deployment have the same labels: without this much of the objects' memory would be copies.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import force_setattr

from control.model.decode import Known
from control.model.objects import EndpointSlice, Hints, Metadata, Pod, SliceEndpoint

MAX_PARTS = 65_536
"""Kept at most; past that sharing begins anew, and what is shared already stays so."""

Part = TypeVar("Part")


class Pool:
    """Replaces parts of objects by equal ones that were seen before. Objects are taken before anybody else has them."""

    __slots__ = ("_hints", "_labels", "_parts")

    def __init__(self) -> None:
        self._parts: dict[object, object] = {}
        self._labels: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
        self._hints: dict[tuple[str, ...], Hints] = {}

    def text(self, text: str) -> str:
        return self._share(text)

    def take(self, item: Known) -> None:
        """Share what can be shared. The object stays equal to what it was."""
        metadata = item.metadata
        force_setattr(metadata, "namespace", self._share(metadata.namespace))
        if isinstance(metadata, Metadata) and metadata.labels:
            self._take_labels(metadata)
        if isinstance(item, EndpointSlice):
            for endpoint in item.endpoints:
                self._take_endpoint(endpoint)
        elif isinstance(item, Pod):
            force_setattr(item, "spec", self._share(item.spec))

    def _take_labels(self, metadata: Metadata) -> None:
        key = tuple(metadata.labels.items())
        if (known := self._labels.get(key)) is None:
            if len(self._labels) >= MAX_PARTS:
                self._labels.clear()
            share = self._share
            known = {share(name): share(value) for name, value in key}
            self._labels[tuple(known.items())] = known
        force_setattr(metadata, "labels", known)

    def _take_endpoint(self, endpoint: SliceEndpoint) -> None:
        share = self._share
        force_setattr(endpoint, "conditions", share(endpoint.conditions))
        if endpoint.node_name:
            force_setattr(endpoint, "node_name", share(endpoint.node_name))
        if endpoint.zone:
            force_setattr(endpoint, "zone", share(endpoint.zone))
        if endpoint.hints.for_zones:
            self._take_hints(endpoint)
        if (target := endpoint.target_ref) is not None:
            force_setattr(target, "kind", share(target.kind))
            force_setattr(target, "namespace", share(target.namespace))

    def _take_hints(self, endpoint: SliceEndpoint) -> None:
        key = tuple([zone.name for zone in endpoint.hints.for_zones])
        if (known := self._hints.get(key)) is None:
            if len(self._hints) >= MAX_PARTS:
                self._hints.clear()
            known = self._hints[key] = endpoint.hints
        force_setattr(endpoint, "hints", known)

    def _share(self, part: Part) -> Part:
        known = self._parts.get(part)
        if known is not None:
            return known  # type: ignore[return-value]
        if len(self._parts) >= MAX_PARTS:
            self._parts.clear()
        self._parts[part] = part
        return part
