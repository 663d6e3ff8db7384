"""Which way a request would take, and why no other: asked without sending one.

Every decision is the sidecar's own code (`meshproxy.policy`), on the very resources that a sidecar of the caller's
namespace takes. What only a running sidecar knows (ejected endpoints, breakers, budgets) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import NamedTuple, TypeAlias, TypeVar

from control.compile.effects import Effects, effects_of
from control.compile.explanation import Choice, Explanation, Failure, Port, Redirect, Retry, Target, Tried
from control.compile.reasons import reasons_of
from control.compile.routes import DEFAULT_RULE
from control.index.index import Index
from control.model.objects import Key
from meshproxy.faults import (
    BACKEND_MISSING,
    BACKEND_UNSUPPORTED,
    BAD_REQUEST,
    EGRESS_REFUSED,
    FAULTS,
    NO_ENDPOINTS,
    NO_PORT,
    NO_ROUTE,
    NO_SERVICE,
    Fault,
)
from meshproxy.policy.authority import Outside, ServiceName, pick_port, resolve
from meshproxy.policy.balance import Balancer
from meshproxy.policy.message import Field, field
from meshproxy.policy.route import Match, RouteTable
from meshproxy.policy.rule import RuleBackend
from meshproxy.policy.verdict import Request, describe, judge
from meshproxy.wire import resources as wire
from meshproxy.wire.names import PortKey, is_label, is_subdomain
from meshproxy.wire.rules import is_token
from meshproxy.wire.snapshot import Entry

MAX_TRIED = 100
"""So many matches are told of, the winner always among them."""
MAX_ENDPOINTS = 100
MAX_URL_CHARS = 8192
MAX_HEADERS = 128

Find: TypeAlias = Callable[[str, str], Entry | None]
"""The entry of a resource that sidecars of a namespace take."""

_URL = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<host>[^/?#@]+)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_Kind = TypeVar("_Kind", wire.Service, wire.Routes, wire.Backend, wire.Endpoints)


class _Asked(NamedTuple):
    """The request as the sidecar would see it."""

    authority: bytes
    request: Request


def explain(
    find: Find,
    index: Index,
    url: str,
    namespace: str,
    service_account: str = "default",
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    cluster_domain: str = "cluster.local",
) -> Explanation:
    """Explain a request that a workload of `namespace` sends. Raise ValueError for one that cannot be sent.

    `index` is what the resources were compiled from: it knows why something is not there.
    """
    if not is_label(namespace):
        raise ValueError(f"namespace: {namespace[:64]!r} is no name; allowed: an RFC 1123 label")
    if not is_subdomain(service_account):
        raise ValueError(f"serviceAccount: {service_account[:64]!r} is no name; allowed: an RFC 1123 subdomain")
    asked = _read(url, method, headers)
    told = Explanation(method=method, url=url, namespace=namespace, service_account=service_account)
    place = _place(told, asked.authority, namespace, cluster_domain)
    if place is not None and (service := _service(told, find, index, place)) is not None:
        _explain_service(told, find, index, place, service, asked)
    if told.failure is not None:
        told.fails_percent = 100.0
    return told


def _read(url: str, method: str, headers: Sequence[tuple[str, str]]) -> _Asked:
    if len(url) > MAX_URL_CHARS or not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError(f"url: allowed are at most {MAX_URL_CHARS} printable ASCII characters, others percent-encoded")
    found = _URL.fullmatch(url)
    if found is None or (found["scheme"] or "http").lower() != "http":
        raise ValueError(f"url: {url[:200]!r} cannot be explained; allowed: [http://]HOST[:PORT][/PATH][?QUERY]")
    if not is_token(method) or len(method) > 64 or method == "CONNECT":
        raise ValueError(f"method: {method[:64]!r} cannot be explained; allowed: a method such as GET, but not CONNECT")
    authority = found["host"].encode()
    request = Request(
        method.encode(), (found["path"] or "/").encode(), (found["query"] or "").encode(), _fields(authority, headers)
    )
    return _Asked(authority, request)


def _fields(authority: bytes, headers: Sequence[tuple[str, str]]) -> list[Field]:
    if len(headers) > MAX_HEADERS:
        raise ValueError(f"header: {len(headers)} were given; allowed: at most {MAX_HEADERS}")
    fields = [field(b"host", authority)]
    for name, value in headers:
        if not is_token(name) or not value.replace("\t", " ").isprintable() or len(value) > MAX_URL_CHARS:
            raise ValueError(f"header: {name[:64]!r} has a malformed name or value; allowed: NAME:VALUE")
        if name.lower() == "host":
            raise ValueError("header: Host is what the URL names; give it there")
        fields.append(field(name.encode(), value.strip().encode()))
    return fields


def _place(told: Explanation, authority: bytes, namespace: str, cluster_domain: str) -> ServiceName | None:
    """Read the Host; what is no Service fails here."""
    place = resolve(authority, namespace, cluster_domain)
    if place is None:
        told.host = "no valid name"
        told.failure = _failure(BAD_REQUEST, "the Host is no valid name")
        return None
    if isinstance(place, Outside):
        told.host = f"{place.host}, outside of the mesh"
        told.failure = _failure(EGRESS_REFUSED, f"{place.host} is not a Service of the mesh")
        return None
    named = f"port {place.port}" if place.port is not None else "no port named"
    told.host = f"Service {place.name} in namespace {place.namespace}, {named}"
    return place


def _service(told: Explanation, find: Find, index: Index, place: ServiceName) -> wire.Service | None:
    service = _take(find, f"service/{place.namespace}/{place.name}", told.namespace, wire.Service)
    if service is None:
        told.failure = _failure(NO_SERVICE, _missing(index, place))
    return service


def _missing(index: Index, place: ServiceName) -> str:
    known = index.services.get(Key(place.namespace, place.name))
    if known is not None:
        return f"Service {place.namespace}/{place.name} is of type {known.spec.type}, which the mesh does not serve"
    if index.lacks_namespace(place.namespace):
        return f"namespace {place.namespace} does not exist"
    return f"there is no Service {place.name} in namespace {place.namespace}"


def _explain_service(
    told: Explanation, find: Find, index: Index, place: ServiceName, service: wire.Service, asked: _Asked
) -> None:
    told.service = f"{place.namespace}/{place.name}"
    told.ports = [Port(port=port.port, name=port.name, protocol=port.protocol) for port in service.ports]
    port = pick_port([item.port for item in service.ports], place.port)
    if port is None:
        numbers = ", ".join(str(item.port) for item in service.ports)
        known = f"the ports {numbers}" if numbers else "no TCP port"
        told.failure = _failure(NO_PORT, f"Service {told.service} has {known}")
        return
    told.port = port
    told.protocol = next(item.protocol for item in service.ports if item.port == port)
    key = PortKey(place.namespace, place.name, port)
    told.routes = key.name("routes")
    entry = find(told.routes, told.namespace)
    if entry is None or not isinstance(entry.resource, wire.Routes):
        told.failure = _failure(NO_ROUTE, f"{told.routes} is missing")
        return
    told.routes_version = entry.version
    is_default = [rule.name for rule in entry.resource.rules] == [DEFAULT_RULE]
    told.origin = "consumer" if entry.consumer else "default" if is_default else "producer"
    _explain_routes(told, find, index, key, entry.resource, asked)


def _explain_routes(
    told: Explanation, find: Find, index: Index, port: PortKey, routes: wire.Routes, asked: _Asked
) -> None:
    match = RouteTable(routes).match(*asked.request)
    _tell_tried(told, routes, asked.request, match)
    if match is None:
        told.failure = _failure(NO_ROUTE, f"none of the {len(routes.matches)} matches fits")
        return
    rule = match.rule
    told.rule = rule.name
    told.request_timeout_s = rule.request_s
    told.attempt_timeout_s = rule.backend_request_s
    if rule.retry is not None:
        retry = rule.retry
        told.retry = Retry(attempts=retry.attempts, codes=sorted(retry.codes), backoff_s=retry.base_s)
    common = effects_of(rule, asked.request, asked.authority, match.prefix)
    told.effects = common.words
    if common.location:
        assert rule.redirect is not None
        told.redirect = Redirect(status=rule.redirect.status, location=common.location)
        return
    total = sum(backend.weight for backend in rule.backends)
    if not total:
        told.failure = _failure(BACKEND_MISSING, f"rule {rule.name} has no backend of a weight above 0")
        return
    reasons = chain(reasons_of(index, rule.name, port), repeat(""))
    told.backends = [
        _choice(told, find, backend, total, (match, asked, common), reason)
        for backend, reason in zip(rule.backends, reasons, strict=False)
    ]
    _tell_failures(told)


def _tell_tried(told: Explanation, routes: wire.Routes, request: Request, winner: Match | None) -> None:
    won = winner.order if winner is not None else -1
    shown = [i for i in range(len(routes.matches)) if i < MAX_TRIED or i == won]
    told.more_tried = len(routes.matches) - len(shown)
    for i in shown:
        match = routes.matches[i]
        unmet = judge(match, request)
        reason = unmet or ("" if i == won else "an earlier match fits")
        told.tried.append(
            Tried(rule=routes.rules[match.rule].name, match=describe(match), fits=not unmet, reason=reason)
        )


def _choice(
    told: Explanation, find: Find, chosen: RuleBackend, total: int, way: tuple[Match, _Asked, Effects], reason: str
) -> Choice:
    match, asked, common = way
    backend = None
    targets: list[Target] = []
    if not chosen.fault:
        backend = _take(find, f"backend/{chosen.name}", told.namespace, wire.Backend)
    if backend is not None:
        endpoints = _take(find, f"endpoints/{chosen.name}", told.namespace, wire.Endpoints)
        targets = _targets(backend, endpoints.endpoints if endpoints is not None else [])
    failure = None
    if backend is None:
        failure = _broken(chosen, told.rule, reason)
    elif not any(target.considered for target in targets):
        failure = _failure(NO_ENDPOINTS, f"backend {chosen.name}: none of {len(targets)} endpoints can be used")
    effects = effects_of(chosen, asked.request._replace(fields=common.fields), asked.authority, match.prefix)
    return Choice(
        backend=chosen.name,
        weight=chosen.weight,
        share_percent=round(100 * chosen.weight / total, 2),
        protocol=backend.protocol if backend is not None else "",
        effects=effects.words,
        endpoints=targets[:MAX_ENDPOINTS],
        more_endpoints=max(0, len(targets) - MAX_ENDPOINTS),
        failure=failure,
    )


def _broken(chosen: RuleBackend, rule: str, reason: str) -> Failure:
    fault = FAULTS[chosen.fault] if chosen.fault else BACKEND_MISSING
    if reason and fault is BACKEND_UNSUPPORTED:
        # The fault's own words are a sidecar's, which is not told what is wrong with the rule.
        return Failure(
            fault=fault.word, status=fault.status, message=reason, advice=f"correct the HTTPRoute's rule {rule}"
        )
    return _failure(fault, reason or f"backend {chosen.name or '-'}")


def _targets(backend: wire.Backend, endpoints: list[wire.Endpoint]) -> list[Target]:
    balancer = Balancer(backend)
    balancer.update(endpoints, 0.0)
    candidates = set(map(id, balancer.candidates))
    targets = []
    for state in balancer.states:
        spec = state.spec
        considered = id(state) in candidates
        reason = ""
        if not considered:
            others = state.condition == "terminating"
            reason = "its weight is 0" if not spec.weight else "others are ready" if others else "it is not ready"
        targets.append(
            Target(
                address=spec.address,
                port=spec.port,
                state=state.condition,
                considered=considered,
                reason=reason,
                protocol=spec.protocol,
                identity=spec.identity,
                zone=spec.zone,
                node=spec.node,
            )
        )
    return targets


def _tell_failures(told: Explanation) -> None:
    used = [choice for choice in told.backends if choice.weight]
    failed = [choice for choice in used if choice.failure is not None]
    if len(failed) == len(used):
        told.failure = failed[0].failure
    else:
        told.fails_percent = round(sum(choice.share_percent for choice in failed), 2)


def _take(find: Find, name: str, namespace: str, kind: type[_Kind]) -> _Kind | None:
    entry = find(name, namespace)
    return entry.resource if entry is not None and isinstance(entry.resource, kind) else None


def _failure(fault: Fault, message: str) -> Failure:
    return Failure(fault=fault.word, status=fault.status, message=f"{fault.meaning}: {message}", advice=fault.advice)
