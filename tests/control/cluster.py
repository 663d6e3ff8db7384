"""Objects as a cluster has them: with uids and what is not namespaced, and read as the cluster's are."""

from __future__ import annotations

from typing import Any

import msgspec

from control.index.index import Index
from control.model.decode import Known, type_of
from tests.control.build import document, endpoint, pod


def node(name: str, zone: str = "", **labels: str) -> dict[str, Any]:
    marks = {"topology.kubernetes.io/zone": zone} if zone else {}
    return _unbound("Node", name, labels={**labels, **marks})


def namespace(name: str, **metadata: Any) -> dict[str, Any]:
    return _unbound("Namespace", name, **metadata)


def pod_with(uid: str, name: str, account: str = "", **fields: Any) -> dict[str, Any]:
    """A Pod of that uid; the rest as `pod` has it."""
    given = pod(name, account, **fields)
    given["metadata"]["uid"] = uid
    return given


def endpoint_of(uid: str, address: str, name: str, **fields: Any) -> dict[str, Any]:
    """An endpoint that is the Pod of that name and uid."""
    return endpoint(address, targetRef={"kind": "Pod", "namespace": "shop", "name": name, "uid": uid}, **fields)


def read(given: dict[str, Any]) -> Known:
    """Read a document that an API server has checked: what is null is not set."""
    return msgspec.convert(_without_nulls(given), type_of(given["kind"]))


def cluster_of(*documents: dict[str, Any]) -> Index:
    index = Index()
    for item in documents:
        index.apply(read(item))
    return index


def _unbound(kind: str, name: str, **metadata: Any) -> dict[str, Any]:
    given = document("v1", kind, name)
    del given["metadata"]["namespace"]
    given["metadata"].update(metadata)
    return given


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def withheld(index):
    """Everything that an index leaves out, sorted."""
    return sorted(item for slice_ in index.slices.values() for item in index.withheld(slice_))
