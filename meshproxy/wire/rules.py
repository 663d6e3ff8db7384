"""The consistency of one `routes/...` resource."""

from __future__ import annotations

import re

from meshproxy.wire.bounds import (
    MAX_RETRIES,
    MAX_TEXT_CHARS,
    MAX_WEIGHT,
    Found,
    check_duration,
    check_port,
    check_range,
    check_text,
)
from meshproxy.wire.names import parse_port_key
from meshproxy.wire.resources import (
    Filter,
    HeaderModifier,
    PathModifier,
    ReplacePrefixMatch,
    RequestRedirect,
    RouteBackend,
    RouteMatch,
    Routes,
    Rule,
    URLRewrite,
)

REDIRECT_CODES = (301, 302, 303, 307, 308)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2


def is_token(text: str) -> bool:
    """Tell whether `text` is an RFC 9110 token, as methods and field names are."""
    return _TOKEN.fullmatch(text) is not None


def check_routes(found: Found, routes: Routes) -> None:
    """Note what is wrong with the matches and rules of one port's routes."""
    prefix_only = [True] * len(routes.rules)
    for i, match in enumerate(routes.matches):
        _check_match(found, f"matches[{i}]", match)
        if not 0 <= match.rule < len(routes.rules):
            found.append((f"matches[{i}].rule", f"there is no rule {match.rule}; there are {len(routes.rules)}"))
        elif match.path.type != "PathPrefix":
            prefix_only[match.rule] = False
    seen: set[str] = set()
    for i, rule in enumerate(routes.rules):
        _check_rule(found, f"rules[{i}]", rule, prefix_only[i])
        if rule.name in seen:
            found.append((f"rules[{i}].name", f"{rule.name[:300]!r} names another rule too"))
        seen.add(rule.name)


def _check_match(found: Found, path: str, match: RouteMatch) -> None:
    check_text(found, f"{path}.path.value", match.path.value)
    if match.path.type != "RegularExpression" and match.path.value[:1] not in {"", "/"}:
        found.append((f"{path}.path.value", "must start with '/'"))
    if match.method and not is_token(match.method):
        found.append((f"{path}.method", f"{match.method[:64]!r} is no method"))
    for i, header in enumerate(match.headers):
        if not is_token(header.name) or header.name != header.name.lower():
            found.append((f"{path}.headers[{i}].name", f"{header.name[:256]!r} is no header name in lower case"))
        check_text(found, f"{path}.headers[{i}].value", header.value)
    for i, param in enumerate(match.query_params):
        check_text(found, f"{path}.query_params[{i}].name", param.name)
        check_text(found, f"{path}.query_params[{i}].value", param.value)


def _check_rule(found: Found, path: str, rule: Rule, prefix_only: bool) -> None:
    check_text(found, f"{path}.name", rule.name)
    _check_filters(found, f"{path}.filters", rule.filters, prefix_only)
    check_duration(found, f"{path}.timeouts.request_s", rule.timeouts.request_s)
    check_duration(found, f"{path}.timeouts.backend_request_s", rule.timeouts.backend_request_s)
    if rule.retry is not None:
        check_range(found, f"{path}.retry.attempts", rule.retry.attempts, 0, MAX_RETRIES)
        check_duration(found, f"{path}.retry.backoff_s", rule.retry.backoff_s)
        for i, code in enumerate(rule.retry.codes):
            check_range(found, f"{path}.retry.codes[{i}]", code, 400, 599)
    for i, backend in enumerate(rule.backends):
        _check_backend(found, f"{path}.backends[{i}]", backend)
        _check_filters(found, f"{path}.backends[{i}].filters", backend.filters, prefix_only)
    redirects = any(isinstance(filter_, RequestRedirect) for filter_ in rule.filters)
    if not rule.backends and not redirects:
        found.append((f"{path}.backends", "must not be empty where nothing redirects"))


def _check_backend(found: Found, path: str, backend: RouteBackend) -> None:
    check_range(found, f"{path}.weight", backend.weight, 0, MAX_WEIGHT)
    if backend.backend or not backend.fault:
        try:
            parse_port_key(backend.backend)
        except ValueError as error:
            found.append((f"{path}.backend", str(error)))


def _check_filters(found: Found, path: str, filters: list[Filter], prefix_only: bool) -> None:
    kinds = [type(filter_) for filter_ in filters]
    if len(set(kinds)) != len(kinds):
        found.append((path, "each type of filter may stand once"))
    if RequestRedirect in kinds and URLRewrite in kinds:
        found.append((path, "a redirect and a rewrite exclude each other"))
    for i, filter_ in enumerate(filters):
        place = f"{path}[{i}]"
        match filter_:
            case HeaderModifier():
                for j, (name, value) in enumerate([*filter_.set, *filter_.add]):
                    if not is_token(name) or not _is_field_value(value):
                        found.append((place, f"header {j} ({name[:256]!r}) has a malformed name or value"))
                if not all(is_token(name) for name in filter_.remove):
                    found.append((f"{place}.remove", "holds a malformed header name"))
            case RequestRedirect():
                _check_redirect(found, place, filter_)
                _check_path(found, f"{place}.path", filter_.path, prefix_only)
            case URLRewrite():
                _check_path(found, f"{place}.path", filter_.path, prefix_only)


def _is_field_value(text: str) -> bool:
    return len(text) <= MAX_TEXT_CHARS and (not text or text.replace("\t", " ").isprintable())


def _check_redirect(found: Found, path: str, redirect: RequestRedirect) -> None:
    if redirect.scheme not in {"", "http", "https"}:
        found.append((f"{path}.scheme", f"{redirect.scheme[:64]!r} is unknown; allowed: http, https"))
    if redirect.port:
        check_port(found, f"{path}.port", redirect.port)
    if redirect.status_code not in REDIRECT_CODES:
        allowed = ", ".join(map(str, REDIRECT_CODES))
        found.append((f"{path}.status_code", f"{redirect.status_code} does not redirect; allowed: {allowed}"))


def _check_path(found: Found, path: str, modifier: PathModifier | None, prefix_only: bool) -> None:
    if modifier is None:
        return
    if isinstance(modifier, ReplacePrefixMatch) and not prefix_only:
        found.append((path, "ReplacePrefixMatch needs that all matches of the rule are of type PathPrefix"))
    if not modifier.value.isprintable() or len(modifier.value) > MAX_TEXT_CHARS or " " in modifier.value:
        found.append((f"{path}.value", "is no path"))
