"""The resources a sidecar is configured by, as msgspec types.

Units stand in the names: `_s` seconds, `_bytes` bytes. Unknown fields are ignored, so that a newer control plane can
add some; an unknown *filter* or *path modifier* is a decoding error, because leaving it out would change the answer.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

SCHEMA = 1
"""The schema of every resource below; a snapshot or stream of another one is refused."""


class Endpoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place a backend's requests can go to (one address of an EndpointSlice)."""

    address: str  # an IP literal, IPv6 without brackets
    port: int
    protocol: str = "http"  # what is spoken there: http | http2 | grpc | tcp; as the Service port's appProtocol
    identity: str = ""  # the SPIFFE id expected of a meshed endpoint; empty when unmeshed
    meshed: bool = False
    zone: str = ""
    hints: list[str] = []  # zones this endpoint is meant for (EndpointSlice hints.forZones)
    node: str = ""
    labels: dict[str, str] = {}
    weight: int = 1
    ready: bool = True
    serving: bool = True
    terminating: bool = False


class Endpoints(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`endpoints/NS/NAME:PORT`. Sorted by address and port."""

    endpoints: list[Endpoint] = []


class StringMatch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A header or query parameter to match. Header names are lower case; an expression is RE2, matched in full."""

    name: str
    value: str
    type: Literal["Exact", "RegularExpression"] = "Exact"


class PathMatch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway API HTTPPathMatch. A prefix matches whole path elements; a regular expression is RE2, matched in full."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"] = "PathPrefix"
    value: str = "/"


class HeaderModifier(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway API HTTPHeaderFilter. Names as written in the route, compared without regard to case."""

    set: list[tuple[str, str]] = []
    add: list[tuple[str, str]] = []
    remove: list[str] = []


class RequestHeaderModifier(HeaderModifier, frozen=True, kw_only=True, omit_defaults=True, tag=True, tag_field="type"):
    pass


class ResponseHeaderModifier(HeaderModifier, frozen=True, kw_only=True, omit_defaults=True, tag=True, tag_field="type"):
    pass


class ReplaceFullPath(Struct, frozen=True, kw_only=True, tag=True, tag_field="type"):
    value: str


class ReplacePrefixMatch(Struct, frozen=True, kw_only=True, tag=True, tag_field="type"):
    """Replaces the prefix that the rule's PathPrefix match has matched."""

    value: str


PathModifier: TypeAlias = ReplaceFullPath | ReplacePrefixMatch


class RequestRedirect(Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True, tag_field="type"):
    """Gateway API HTTPRequestRedirectFilter: answered by the sidecar itself."""

    scheme: str = ""
    hostname: str = ""
    path: PathModifier | None = None
    port: int = 0  # 0: not set
    status_code: int = 302


class URLRewrite(Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True, tag_field="type"):
    hostname: str = ""
    path: PathModifier | None = None


Filter: TypeAlias = RequestHeaderModifier | ResponseHeaderModifier | RequestRedirect | URLRewrite


class RouteBackend(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One weighted backendRef. `fault` says why it cannot be used; its share of the requests is answered 500."""

    backend: str = ""  # NS/NAME:PORT
    weight: int = 1
    filters: list[Filter] = []
    fault: Literal["", "backend_missing", "ref_not_permitted", "backend_unsupported"] = ""


class Timeouts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """HTTPRoute timeouts; 0 means none."""

    request_s: float = 0.0
    backend_request_s: float = 0.0


class Retry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """HTTPRoute retry (GEP-1731). `attempts` counts the repetitions, not the first try."""

    codes: list[int] = []
    attempts: int = 1
    backoff_s: float = 0.025


class Rule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One HTTPRoute rule. `name` is what metrics and logs call it: NS/ROUTE/RULE (the rule's name, else its index)."""

    name: str
    filters: list[Filter] = []
    backends: list[RouteBackend] = []
    timeouts: Timeouts = Timeouts()
    retry: Retry | None = None


class RouteMatch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One match of one rule; `rule` is the index into the `rules` beside it. Method is empty for any."""

    rule: int
    path: PathMatch = PathMatch()
    headers: list[StringMatch] = []
    query_params: list[StringMatch] = []
    method: str = ""


class Routes(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`routes/NS/NAME:PORT`: the first of `matches` that fits decides; none: 404.

    The order is that of Gateway API's precedence and is made by the control plane. A Service without routes of its own
    has one rule, named `default`, to its own backend.
    """

    matches: list[RouteMatch] = []
    rules: list[Rule] = []


class Balance(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Peak-EWMA power of two choices."""

    algorithm: Literal["peak-ewma"] = "peak-ewma"
    initial_s: float = 0.03  # what an endpoint is believed to take before it has answered
    decay_s: float = 10.0


class Breaker(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Circuit-breaker thresholds, per sidecar worker."""

    max_connections: int = 1024
    max_pending: int = 1024
    max_requests: int = 1024


class Outlier(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Passive health: so many failures in a row eject an endpoint; one live request after the backoff is its probe."""

    consecutive: int = 5
    base_s: float = 1.0
    max_s: float = 60.0
    max_ejected_percent: int = 50


class RetryBudget(Struct, frozen=True, kw_only=True, omit_defaults=True):
    percent: float = 20.0
    min_per_s: float = 10.0
    window_s: float = 10.0


class Pool(Struct, frozen=True, kw_only=True, omit_defaults=True):
    idle_s: float = 3.0
    max_age_s: float = 300.0


class Backend(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`backend/NS/NAME:PORT`: how a Service port is spoken to, whatever route leads there."""

    protocol: str = "http"
    connect_timeout_s: float = 1.0
    balance: Balance = Balance()
    breaker: Breaker = Breaker()
    outlier: Outlier = Outlier()
    retry_budget: RetryBudget = RetryBudget()
    pool: Pool = Pool()


class ServicePort(Struct, frozen=True, kw_only=True, omit_defaults=True):
    port: int
    name: str = ""
    protocol: str = "http"


class Service(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`service/NS/NAME`: its ports, sorted by number."""

    ports: list[ServicePort] = []


class WorkloadPort(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A port that Services send to on this workload; `services` are NS/NAME:PORT, sorted."""

    port: int
    protocol: str = "http"
    services: list[str] = []


class Workload(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`workload/NS/POD`: what a sidecar's own inbound side serves. Ports sorted by number."""

    service_account: str = "default"
    ports: list[WorkloadPort] = []


Resource: TypeAlias = Routes | Backend | Endpoints | Service | Workload
