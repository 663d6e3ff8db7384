"""The kinds that are watched: where they are found in the API, and what they are decoded to."""

from __future__ import annotations

from typing import NamedTuple

from control.model.decode import Known, type_of
from control.model.kinds import (
    ENDPOINT_SLICE,
    HTTP_ROUTE,
    NAMESPACE,
    NODE,
    POD,
    REFERENCE_GRANT,
    SERVICE,
    Kind,
)

JSON = "application/json"
PARTIAL_VERSION = "meta.k8s.io/v1"
PARTIAL = "PartialObjectMetadata"


class Watched(NamedTuple):
    """One kind. Of `is_metadata_only` nothing but metadata is asked for; `is_optional` are those that CRDs bring."""

    kind: Kind
    is_metadata_only: bool = False
    is_optional: bool = False

    @property
    def name(self) -> str:
        """Return what logs, metrics and checks call it: `Service`."""
        return self.kind.name

    @property
    def type(self) -> type[Known]:
        return type_of(self.kind.name)

    def path(self, version: str) -> str:
        """Return where all objects of all namespaces are listed and watched."""
        return f"{self.kind.root(version)}/{self.kind.plural}"

    def accept(self, *, is_list: bool) -> str:
        """Return what an answer may be: an API server that cannot leave out the rest may send all of it."""
        if not self.is_metadata_only:
            return JSON
        return f"{JSON};as={PARTIAL}{'List' if is_list else ''};g=meta.k8s.io;v=v1,{JSON}"


WATCHED = (
    Watched(SERVICE),
    Watched(POD),
    Watched(ENDPOINT_SLICE),
    Watched(NODE, is_metadata_only=True),
    Watched(NAMESPACE, is_metadata_only=True),
    Watched(HTTP_ROUTE, is_optional=True),
    Watched(REFERENCE_GRANT, is_optional=True),
)
