"""The core objects, reduced to the fields that are used. Fields that are unset have their zero value."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

SIDECAR_LABEL = "meshproxy.io/sidecar"
SERVICE_LABEL = "kubernetes.io/service-name"


class Key(NamedTuple):
    """What names an object among those of its kind."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Metadata(Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    namespace: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str = ""
    generation: int = 0


class Object(Struct, frozen=True, kw_only=True, rename="camel"):
    metadata: Metadata

    @property
    def key(self) -> Key:
        return Key(self.metadata.namespace, self.metadata.name)


class ServicePort(Struct, frozen=True, kw_only=True, rename="camel"):
    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str = ""


class ServiceSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    type: str = "ClusterIP"
    ip_families: list[str] = []
    ports: list[ServicePort] = []


class Service(Object, frozen=True, kw_only=True, rename="camel"):
    spec: ServiceSpec


class Conditions(Struct, frozen=True, kw_only=True, rename="camel"):
    """Unset `ready` means yes, unset `serving` means as `ready` (EndpointSlice API reference)."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool = False


class ZoneHint(Struct, frozen=True, kw_only=True, rename="camel"):
    name: str


class Hints(Struct, frozen=True, kw_only=True, rename="camel"):
    for_zones: list[ZoneHint] = []


class TargetRef(Struct, frozen=True, kw_only=True, rename="camel"):
    kind: str = ""
    namespace: str = ""
    name: str = ""


class SliceEndpoint(Struct, frozen=True, kw_only=True, rename="camel"):
    addresses: list[str]
    conditions: Conditions = Conditions()
    target_ref: TargetRef | None = None
    node_name: str = ""
    zone: str = ""
    hints: Hints = Hints()


class SlicePort(Struct, frozen=True, kw_only=True, rename="camel"):
    """`port` 0 is unset: all ports, which no Service sends to."""

    port: int = 0
    name: str = ""
    protocol: str = "TCP"


class EndpointSlice(Object, frozen=True, kw_only=True, rename="camel"):
    address_type: str
    endpoints: list[SliceEndpoint] = []
    ports: list[SlicePort] = []

    @property
    def service(self) -> Key | None:
        """The Service whose endpoints these are, if the slice says so."""
        name = self.metadata.labels.get(SERVICE_LABEL)
        return Key(self.metadata.namespace, name) if name else None

    def pod_of(self, endpoint: SliceEndpoint) -> Key | None:
        ref = endpoint.target_ref
        if ref is None or ref.kind != "Pod" or not ref.name:
            return None
        return Key(ref.namespace or self.metadata.namespace, ref.name)


class PodSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    service_account_name: str = ""


class Pod(Object, frozen=True, kw_only=True, rename="camel"):
    spec: PodSpec

    @property
    def service_account(self) -> str:
        return self.spec.service_account_name or "default"

    @property
    def is_meshed(self) -> bool:
        return self.metadata.labels.get(SIDECAR_LABEL) == "injected"
