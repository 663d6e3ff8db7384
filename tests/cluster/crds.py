"""The CRDs of the kinds that are read, for a cluster that does not have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import control.model
from control.model.kinds import HTTP_ROUTE, REFERENCE_GRANT, Kind

KINDS = (HTTP_ROUTE, REFERENCE_GRANT)
_SCHEMAS = Path(next(iter(control.model.__path__))) / "schemas"


def crd(kind: Kind, labels: dict[str, str]) -> dict[str, Any]:
    """One with the schema that is kept here; status is a subresource, as in the Gateway API's own."""
    schema = json.loads((_SCHEMAS / f"{kind.name.lower()}.json").read_text())
    names = {"kind": kind.name, "listKind": f"{kind.name}List", "plural": kind.plural, "singular": kind.singular}
    versions = [
        {
            "name": version,
            "served": True,
            "storage": version == kind.versions[0],
            "schema": {"openAPIV3Schema": schema},
            **({"subresources": {"status": {}}} if kind.has_status else {}),
        }
        for version in kind.versions
    ]
    # Without it no CRD may claim a group of Kubernetes' own.
    approval = {"api-approved.kubernetes.io": "unapproved, of a test of meshproxy"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.qualified, "labels": labels, "annotations": approval},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {**names, "shortNames": list(kind.short_names)},
            "versions": versions,
        },
    }


def as_written(found: dict[str, Any]) -> dict[str, Any]:
    """An object as it can be written again after it was deleted."""
    kept = ("name", "labels", "annotations")
    metadata = {name: value for name, value in found["metadata"].items() if name in kept}
    return {**{name: value for name, value in found.items() if name != "status"}, "metadata": metadata}
