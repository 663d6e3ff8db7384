"""The core objects, reduced to the fields that are used. Fields that are unset have their zero value."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from msgspec import Meta, Struct, field

SIDECAR_LABEL = "meshproxy.io/sidecar"
SERVICE_LABEL = "kubernetes.io/service-name"
ZONE_LABEL = "topology.kubernetes.io/zone"


class Part(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """What objects are made of: decoded from JSON, so there is no cycle in it for the garbage collector to look for."""


class Key(NamedTuple):
    """What names an object among those of its kind."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class PodRef(NamedTuple):
    """Which Pod an endpoint is; `uid` is empty where that is not said."""

    namespace: str
    name: str
    uid: str

    @property
    def key(self) -> Key:
        return Key(self.namespace, self.name)


class Identified(Part, frozen=True, kw_only=True):
    """The metadata that tells objects apart. Those that are not in a namespace have none."""

    name: str
    namespace: str = ""
    uid: str = ""
    creation_timestamp: str = ""
    generation: int = 0


class Metadata(Identified, frozen=True, kw_only=True):
    labels: dict[str, str] = {}


class Object(Part, frozen=True, kw_only=True):
    metadata: Identified

    @property
    def key(self) -> Key:
        return Key(self.metadata.namespace, self.metadata.name)


class ServicePort(Part, frozen=True, kw_only=True):
    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str = ""


class ServiceSpec(Part, frozen=True, kw_only=True):
    type: str = "ClusterIP"
    cluster_ip: str = field(name="clusterIP", default="")
    ip_families: list[str] = []
    ports: list[ServicePort] = []


class Service(Object, frozen=True, kw_only=True):
    metadata: Metadata
    spec: ServiceSpec


class Conditions(Part, frozen=True, kw_only=True):
    """Unset `ready` means yes, unset `serving` means as `ready` (EndpointSlice API reference)."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool = False


class ZoneHint(Part, frozen=True, kw_only=True):
    name: str


class Hints(Part, frozen=True, kw_only=True):
    for_zones: list[ZoneHint] = []


class TargetRef(Part, frozen=True, kw_only=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class SliceEndpoint(Part, frozen=True, kw_only=True):
    addresses: Annotated[list[str], Meta(min_length=1)]
    conditions: Conditions = Conditions()
    target_ref: TargetRef | None = None
    node_name: str = ""
    zone: str = ""
    hints: Hints = Hints()


class SlicePort(Part, frozen=True, kw_only=True):
    """`port` 0 is unset: all ports, which no Service sends to."""

    port: int = 0
    name: str = ""
    protocol: str = "TCP"


class EndpointSlice(Object, frozen=True, kw_only=True):
    metadata: Metadata
    address_type: str
    endpoints: list[SliceEndpoint] = []
    ports: list[SlicePort] = []

    @property
    def service(self) -> Key | None:
        """The Service whose endpoints these are, if the slice says so."""
        name = self.metadata.labels.get(SERVICE_LABEL)
        return Key(self.metadata.namespace, name) if name else None

    def pod_of(self, endpoint: SliceEndpoint) -> PodRef | None:
        ref = endpoint.target_ref
        if ref is None or ref.kind != "Pod" or not ref.name:
            return None
        return PodRef(ref.namespace or self.metadata.namespace, ref.name, ref.uid)


class PodSpec(Part, frozen=True, kw_only=True):
    service_account_name: str = ""


class Pod(Object, frozen=True, kw_only=True):
    metadata: Metadata
    spec: PodSpec

    @property
    def service_account(self) -> str:
        return self.spec.service_account_name or "default"

    @property
    def is_meshed(self) -> bool:
        return self.metadata.labels.get(SIDECAR_LABEL) == "injected"


class NodeLabels(Part, frozen=True, kw_only=True):
    zone: str = field(name=ZONE_LABEL, default="")


class NodeMetadata(Identified, frozen=True, kw_only=True):
    labels: NodeLabels = NodeLabels()


class Node(Object, frozen=True, kw_only=True):
    """A node of a cluster: only where it is."""

    metadata: NodeMetadata

    @property
    def zone(self) -> str:
        """The zone it stands in; empty if it does not say."""
        return self.metadata.labels.zone


class Namespace(Object, frozen=True, kw_only=True):
    """That a namespace exists."""
