"""What an HTTPRoute must hold beyond its schema: the CRD's CEL rules, in so far as they concern what is used here.

An API server refuses an object that breaks one of them, so the compiler may rely on all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from control.model.duration import parse_duration_s
from control.model.routes import BackendRef, Filter, HTTPRoute, ParentRef, PathMatch, PathModifier, Rule
from control.model.schema import Flaw, shown

MAX_MATCHES = 128
FILTER_FIELDS = {
    "RequestHeaderModifier": "request_header_modifier",
    "ResponseHeaderModifier": "response_header_modifier",
    "RequestRedirect": "request_redirect",
    "URLRewrite": "url_rewrite",
    "RequestMirror": "request_mirror",
    "CORS": "cors",
    "ExternalAuth": "external_auth",
    "ExtensionRef": "extension_ref",
}
_SINGLE = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS")
_PATH = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
_BAD_PARTS = ("//", "/./", "/../", "%2f", "%2F", "#")
_BAD_ENDS = ("/..", "/.")


def check_http_route(route: HTTPRoute) -> list[Flaw]:
    """Return what is wrong with a route that has passed its schema."""
    flaws: list[Flaw] = []
    _check_parents(route.spec.parent_refs, flaws)
    rules = route.spec.rules
    if (count := sum(len(rule.matches) for rule in rules)) > MAX_MATCHES:
        flaws.append(Flaw("spec.rules", f"all rules together have {count} matches; allowed: at most {MAX_MATCHES}"))
    names = [rule.name for rule in rules]
    for i, rule in enumerate(rules):
        path = f"spec.rules[{i}]"
        if rule.name and names.index(rule.name) != i:
            flaws.append(Flaw(f"{path}.name", f"{shown(rule.name)} names another rule too"))
        _check_rule(rule, path, flaws)
    return flaws


def _check_parents(parents: list[ParentRef], flaws: list[Flaw]) -> None:
    seen: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for i, parent in enumerate(parents):
        path = f"spec.parentRefs[{i}]"
        others = seen.setdefault((parent.group, parent.kind, parent.namespace, parent.name), [])
        place = parent.section_name, parent.port
        if place in others:
            flaws.append(Flaw(path, "stands twice; allowed: the same parent with another port or sectionName"))
        elif others and (bool(others[0][0]), bool(others[0][1])) != (bool(place[0]), bool(place[1])):
            flaws.append(Flaw(path, "names a parent again; allowed: all its references set port, or sectionName"))
        others.append(place)


def _check_rule(rule: Rule, path: str, flaws: list[Flaw]) -> None:
    for i, match in enumerate(rule.matches):
        _check_path(match.path, f"{path}.matches[{i}].path", flaws)
    _check_filters(rule.filters, f"{path}.filters", flaws)
    _check_prefixes(rule, f"{path}.filters", flaws)
    for i, backend in enumerate(rule.backend_refs):
        _check_backend(backend, f"{path}.backendRefs[{i}]", flaws)
    if rule.backend_refs and any(filter_.type == "RequestRedirect" for filter_ in rule.filters):
        flaws.append(Flaw(f"{path}.backendRefs", "excludes a RequestRedirect filter; allowed: one of them"))
    request_s = _duration_s(rule.timeouts.request, f"{path}.timeouts.request", flaws)
    attempt_s = _duration_s(rule.timeouts.backend_request, f"{path}.timeouts.backendRequest", flaws)
    if request_s and attempt_s > request_s:
        flaws.append(
            Flaw(f"{path}.timeouts.backendRequest", f"must not be longer than request ({rule.timeouts.request})")
        )
    if rule.retry is not None:
        _duration_s(rule.retry.backoff, f"{path}.retry.backoff", flaws)


def _duration_s(text: str, path: str, flaws: list[Flaw]) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        flaws.append(Flaw(path, str(error)))
        return 0.0


def _check_path(match: PathMatch, path: str, flaws: list[Flaw]) -> None:
    if match.type == "RegularExpression":
        return
    value = match.value
    if not value.startswith("/"):
        flaws.append(Flaw(f"{path}.value", f"{shown(value)} is not absolute; allowed: a path that starts with '/'"))
    elif bad := [part for part in _BAD_PARTS if part in value] + [end for end in _BAD_ENDS if value.endswith(end)]:
        flaws.append(Flaw(f"{path}.value", f"{shown(value)} holds {bad[0]!r}; allowed: a normalized path"))
    elif not _PATH.fullmatch(value):
        flaws.append(Flaw(f"{path}.value", f"{shown(value)} holds characters that must be percent-encoded"))


def _check_backend(backend: BackendRef, path: str, flaws: list[Flaw]) -> None:
    if not backend.group and backend.kind == "Service" and not backend.port:
        flaws.append(Flaw(f"{path}.port", "is required for a Service"))
    _check_filters(backend.filters, f"{path}.filters", flaws)


def _check_filters(filters: list[Filter], path: str, flaws: list[Flaw]) -> None:
    kinds = [filter_.type for filter_ in filters]
    flaws.extend(Flaw(path, f"{kind} stands twice; allowed: once") for kind in _SINGLE if kinds.count(kind) > 1)
    if "RequestRedirect" in kinds and "URLRewrite" in kinds:
        flaws.append(Flaw(path, "RequestRedirect and URLRewrite exclude each other; allowed: one of them"))
    for i, filter_ in enumerate(filters):
        place = f"{path}[{i}]"
        for kind, name in FILTER_FIELDS.items():
            given = getattr(filter_, name) is not None
            if given != (filter_.type == kind):
                problem = f"belongs to filters of type {kind}" if given else f"is required for type {kind}"
                flaws.append(Flaw(f"{place}.{_camel(name)}", problem))
        for name, modifier in _modifiers(filter_):
            _check_modifier(modifier, f"{place}.{name}.path", flaws)


def _modifiers(filter_: Filter) -> Iterable[tuple[str, PathModifier]]:
    if filter_.request_redirect is not None and filter_.request_redirect.path is not None:
        yield "requestRedirect", filter_.request_redirect.path
    if filter_.url_rewrite is not None and filter_.url_rewrite.path is not None:
        yield "urlRewrite", filter_.url_rewrite.path


def _check_modifier(modifier: PathModifier, path: str, flaws: list[Flaw]) -> None:
    for kind, value in (
        ("ReplaceFullPath", modifier.replace_full_path),
        ("ReplacePrefixMatch", modifier.replace_prefix_match),
    ):
        if (value is not None) != (modifier.type == kind):
            problem = f"belongs to type {kind}" if value is not None else f"is required for type {kind}"
            flaws.append(Flaw(f"{path}.{kind[0].lower()}{kind[1:]}", problem))


def _check_prefixes(rule: Rule, path: str, flaws: list[Flaw]) -> None:
    # Not at backends: no path is modified there, and of several that do it the CRD takes any.
    if [match.path.type for match in rule.matches] == ["PathPrefix"]:
        return
    for i, filter_ in enumerate(rule.filters):
        for name, modifier in _modifiers(filter_):
            if modifier.type == "ReplacePrefixMatch":
                problem = "ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix"
                flaws.append(Flaw(f"{path}[{i}].{name}.path", problem))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
