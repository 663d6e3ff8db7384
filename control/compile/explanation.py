"""What `explain` tells: plain data, as the API gives it out (JSON, names in camelCase)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Failure(Struct, frozen=True, kw_only=True):
    """What a request is answered with that cannot go on: `fault` is the word of metric, log and `Proxy-Status`."""

    fault: str
    status: int
    message: str
    advice: str


class Redirect(Struct, frozen=True, kw_only=True):
    """The sidecar answers by itself."""

    status: int
    location: str


class Port(Struct, frozen=True, kw_only=True):
    port: int
    name: str
    protocol: str


class Tried(Struct, frozen=True, kw_only=True):
    """One match, in the order of precedence. `reason` says why it did not win; empty for the one that did."""

    rule: str
    match: str  # what it asks for, in words
    fits: bool
    reason: str


class Target(Struct, frozen=True, kw_only=True):
    """One endpoint. `considered`: the balancer would choose among these; if not, `reason` says why."""

    address: str
    port: int
    state: str  # ready | terminating | unready
    considered: bool
    reason: str
    protocol: str
    identity: str  # the SPIFFE id asked of it; empty: plain text
    zone: str
    node: str


class Choice(Struct, frozen=True, kw_only=True, rename="camel"):
    """One backend of the rule. `share_percent` of the requests go there; `failure` is what all of these meet."""

    backend: str  # NS/NAME:PORT; empty where the route names nothing that can be one
    weight: int
    share_percent: float
    protocol: str
    effects: list[str]  # of its own filters
    endpoints: list[Target]
    more_endpoints: int  # beyond the bound, not told
    failure: Failure | None


class Retry(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is repeated beyond what is provably unprocessed; `attempts` counts repetitions."""

    attempts: int
    codes: list[int]
    backoff_s: float


class Explanation(Struct, kw_only=True, rename="camel"):
    """The way of one request, as far as configuration decides it: breakers, budgets, ejections are each sidecar's own.

    It is filled as far as the request comes. `failure` is what every such request meets, `fails_percent` how many fail;
    between 0 and 100 where only some of the weighted backends do.
    """

    method: str
    url: str
    namespace: str  # of the caller
    service_account: str
    host: str = ""  # how the Host was read, in words
    service: str = ""  # NS/NAME
    ports: list[Port] = []  # those that the Service has
    port: int = 0  # the one that is meant; 0: none
    protocol: str = ""
    routes: str = ""  # the resource's name
    routes_version: str = ""
    origin: Literal["", "producer", "consumer", "default"] = ""
    """Whose routes: of the Service's namespace, of the caller's, or none (all goes to the Service itself)."""
    tried: list[Tried] = []
    more_tried: int = 0  # beyond the bound, not told
    rule: str = ""  # the one that won
    effects: list[str] = []  # of the rule's filters
    request_timeout_s: float = 0.0  # 0: none
    attempt_timeout_s: float = 0.0
    retry: Retry | None = None
    redirect: Redirect | None = None
    backends: list[Choice] = []
    failure: Failure | None = None
    fails_percent: float = 0.0
