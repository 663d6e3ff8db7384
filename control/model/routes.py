"""HTTPRoute and ReferenceGrant (gateway.networking.k8s.io), reduced to the fields that are used."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from control.model.objects import Metadata, Object


class ParentRef(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    name: str
    group: str = "gateway.networking.k8s.io"
    kind: str = "Gateway"
    namespace: str = ""
    port: int = 0
    section_name: str = ""


class StringMatch(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    name: str
    value: str
    type: str = "Exact"


class PathMatch(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    type: str = "PathPrefix"
    value: str = "/"


class Match(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    path: PathMatch = PathMatch()
    headers: list[StringMatch] = []
    query_params: list[StringMatch] = []
    method: str = ""


class Header(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    name: str
    value: str


class HeaderFilter(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    set: list[Header] = []
    add: list[Header] = []
    remove: list[str] = []


class PathModifier(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    type: str
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class Redirect(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    scheme: str = ""
    hostname: str = ""
    path: PathModifier | None = None
    port: int = 0
    status_code: int = 302


class Rewrite(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    hostname: str = ""
    path: PathModifier | None = None


class Filter(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The field named after `type` is set, and no other; those of types that are not supported are kept as they are."""

    type: str
    request_header_modifier: HeaderFilter | None = None
    response_header_modifier: HeaderFilter | None = None
    request_redirect: Redirect | None = None
    url_rewrite: Rewrite | None = None
    request_mirror: dict[str, Any] | None = None
    cors: dict[str, Any] | None = None
    external_auth: dict[str, Any] | None = None
    extension_ref: dict[str, Any] | None = None


class BackendRef(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    name: str
    group: str = ""
    kind: str = "Service"
    namespace: str = ""
    port: int = 0
    weight: int = 1
    filters: list[Filter] = []


class Timeouts(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    request: str = "0s"
    backend_request: str = "0s"


class Retry(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    codes: list[int] = []
    attempts: int = 1
    backoff: str = "25ms"


class Rule(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    name: str = ""
    matches: list[Match] = []
    filters: list[Filter] = []
    backend_refs: list[BackendRef] = []
    timeouts: Timeouts = Timeouts()
    retry: Retry | None = None
    session_persistence: dict[str, Any] | None = None

    @property
    def conditions(self) -> list[Match]:
        """The matches, of which one is enough; a rule without any matches everything."""
        return self.matches or [Match()]


class RouteSpec(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    parent_refs: list[ParentRef] = []
    hostnames: list[str] = []
    rules: list[Rule] = []


class HTTPRoute(Object, frozen=True, kw_only=True):
    metadata: Metadata
    spec: RouteSpec


class GrantFrom(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    group: str
    kind: str
    namespace: str


class GrantTo(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    group: str
    kind: str
    name: str = ""


class GrantSpec(Struct, frozen=True, kw_only=True, rename={"from_": "from"}, omit_defaults=True):
    from_: list[GrantFrom]
    to: list[GrantTo]


class ReferenceGrant(Object, frozen=True, kw_only=True):
    metadata: Metadata
    spec: GrantSpec
