"""The kinds of objects that are kept, as API discovery names them."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """One kind. `versions` are those it is served in, the one it is kept in first."""

    name: str  # HTTPRoute
    plural: str  # httproutes
    singular: str
    group: str  # empty for the core group
    versions: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    has_status: bool = False
    """Whether the control plane writes a status, served as a subresource of its own."""
    is_namespaced: bool = True

    @property
    def api_version(self) -> str:
        """GROUP/VERSION, as objects of this kind are kept."""
        return self.group_version(self.versions[0])

    def group_version(self, version: str) -> str:
        """Return GROUP/VERSION, of the core group the version alone."""
        return f"{self.group}/{version}" if self.group else version

    def root(self, version: str) -> str:
        """Return the path under which an API server has all kinds of this group and version."""
        return f"/apis/{self.group_version(version)}" if self.group else f"/api/{version}"

    @property
    def qualified(self) -> str:
        """Return the plural with its group, as error messages name a kind: `httproutes.gateway.networking.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


GATEWAY = "gateway.networking.k8s.io"

SERVICE = Kind("Service", "services", "service", "", ("v1",), ("svc",))
POD = Kind("Pod", "pods", "pod", "", ("v1",), ("po",))
ENDPOINT_SLICE = Kind("EndpointSlice", "endpointslices", "endpointslice", "discovery.k8s.io", ("v1",))
HTTP_ROUTE = Kind("HTTPRoute", "httproutes", "httproute", GATEWAY, ("v1", "v1beta1"), has_status=True)
REFERENCE_GRANT = Kind("ReferenceGrant", "referencegrants", "referencegrant", GATEWAY, ("v1", "v1beta1"), ("refgrant",))
NODE = Kind("Node", "nodes", "node", "", ("v1",), ("no",), is_namespaced=False)
NAMESPACE = Kind("Namespace", "namespaces", "namespace", "", ("v1",), ("ns",), is_namespaced=False)

KINDS = (SERVICE, POD, ENDPOINT_SLICE, HTTP_ROUTE, REFERENCE_GRANT)
"""Those that the REST API serves. Nodes and Namespaces are read from a cluster, and kept nowhere else."""


def find(word: str) -> Kind | None:
    """Return the kind that an operator means: its name, plural, singular or short name, in any case, or None."""
    folded = word.lower().removesuffix(f".{GATEWAY}").removesuffix(".discovery.k8s.io")
    for kind in KINDS:
        if folded in {kind.name.lower(), kind.plural, kind.singular, *kind.short_names}:
            return kind
    return None
