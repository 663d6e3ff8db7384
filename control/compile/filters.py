"""Filters of an HTTPRoute's rules and backends to those of the wire."""

from __future__ import annotations

from control.model.routes import Filter, Header, HeaderFilter, PathModifier, Redirect, Rewrite
from meshproxy.wire import resources as wire

SUPPORTED = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite")
SUPPORTED_AT_BACKENDS = SUPPORTED[:2]


def compile_filters(filters: list[Filter], *, at_rule: bool) -> list[wire.Filter]:
    """Compile the filters of a rule or of a backend. Raise ValueError for a type that is not supported there."""
    allowed = SUPPORTED if at_rule else SUPPORTED_AT_BACKENDS
    for filter_ in filters:
        if filter_.type not in allowed:
            place = "rules" if at_rule else "backendRefs"
            raise ValueError(f"filter {filter_.type} is not supported at {place}; allowed: {', '.join(allowed)}")
    return [_compile(filter_) for filter_ in filters]


def _compile(filter_: Filter) -> wire.Filter:
    match filter_:
        case Filter(request_header_modifier=HeaderFilter() as headers):
            return wire.RequestHeaderModifier(set=_pairs(headers.set), add=_pairs(headers.add), remove=headers.remove)
        case Filter(response_header_modifier=HeaderFilter() as headers):
            return wire.ResponseHeaderModifier(set=_pairs(headers.set), add=_pairs(headers.add), remove=headers.remove)
        case Filter(request_redirect=Redirect() as redirect):
            return wire.RequestRedirect(
                scheme=redirect.scheme,
                hostname=redirect.hostname,
                path=_path(redirect.path),
                port=redirect.port,
                status_code=redirect.status_code,
            )
        case Filter(url_rewrite=Rewrite() as rewrite):
            return wire.URLRewrite(hostname=rewrite.hostname, path=_path(rewrite.path))
    raise AssertionError(f"a filter of type {filter_.type} without its field has passed the model's checks")


def _pairs(headers: list[Header]) -> list[tuple[str, str]]:
    """Return names and values; of equal names the first counts, whatever their case (HTTPHeaderFilter)."""
    first: dict[str, tuple[str, str]] = {}
    for header in headers:
        first.setdefault(header.name.lower(), (header.name, header.value))
    return list(first.values())


def _path(modifier: PathModifier | None) -> wire.PathModifier | None:
    if modifier is None:
        return None
    if modifier.replace_full_path is not None:
        return wire.ReplaceFullPath(value=modifier.replace_full_path)
    return wire.ReplacePrefixMatch(value=modifier.replace_prefix_match or "")
