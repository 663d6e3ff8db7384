"""Which rule of a route a request meets (Gateway API HTTPRouteMatch).

The first match in the given order wins. A table keeps its exact paths and its prefixes in dictionaries, so that a long
route costs as much as its prefixes have different lengths; the outcome is that of trying one match after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from meshproxy.policy.message import Field
from meshproxy.policy.path import first_params, normalize
from meshproxy.policy.pattern import Pattern, compile_pattern
from meshproxy.policy.rule import Rule
from meshproxy.wire import resources as wire

_NONE: Mapping[bytes, bytes] = {}


class _Value:
    """What a header or query parameter must be."""

    __slots__ = ("exact", "name", "pattern")

    def __init__(self, match: wire.StringMatch) -> None:
        self.name = match.name.encode()
        self.exact = match.value.encode()
        self.pattern: Pattern | None = compile_pattern(match.value) if match.type == "RegularExpression" else None

    def fits(self, values: Mapping[bytes, bytes]) -> bool:
        value = values.get(self.name)
        if value is None:
            return False
        return value == self.exact if self.pattern is None else self.pattern(value) is not None


class Match:
    """One match, compiled, and what `RouteTable.match` answers with.

    `prefix` is what ReplacePrefixMatch replaces: the matched prefix without a trailing slash (empty for `/`); None
    unless the match is by prefix.
    """

    __slots__ = ("_headers", "_method", "_params", "is_open", "order", "path", "pattern", "prefix", "rule")

    def __init__(self, order: int, match: wire.RouteMatch, rule: Rule) -> None:
        self.order = order
        self.rule = rule
        self.prefix: bytes | None = None
        self.path: bytes | None = None
        self.pattern: Pattern | None = None
        if match.path.type == "PathPrefix":
            self.prefix = normalize(match.path.value.encode()).rstrip(b"/")
        elif match.path.type == "Exact":
            self.path = normalize(match.path.value.encode())
        else:
            self.pattern = compile_pattern(match.path.value)
        if self.prefix is None and any(part.needs_prefix for part in (rule, *rule.backends)):
            raise ValueError("ReplacePrefixMatch needs a path match of type PathPrefix")
        self._method = match.method.encode()
        self._headers = _values(match.headers, fold=True)
        self._params = _values(match.query_params, fold=False)
        # The path alone decides.
        self.is_open = not (self._method or self._headers or self._params)

    def __repr__(self) -> str:
        return f"<Match {self.order} {self.rule.name}>"

    @property
    def header_names(self) -> Iterable[bytes]:
        return (value.name for value in self._headers)

    @property
    def param_names(self) -> Iterable[bytes]:
        return (value.name for value in self._params)

    def fits(self, method: bytes, headers: Mapping[bytes, bytes], params: Mapping[bytes, bytes]) -> bool:
        """Whether all but the path fits."""
        if self._method and self._method != method:
            return False
        return all(value.fits(headers) for value in self._headers) and all(value.fits(params) for value in self._params)


class RouteTable:
    """`wire.Routes`, compiled once. ValueError names rule, match and what is wrong with it.

    `always` is the match that every request meets, when the first one asks for nothing; else None.
    """

    __slots__ = ("_exact", "_headers", "_lengths", "_params", "_patterns", "_prefixes", "always", "rules")

    def __init__(self, routes: wire.Routes) -> None:
        self.rules = [Rule(rule) for rule in routes.rules]
        matches = [_compile(order, match, self.rules) for order, match in enumerate(routes.matches)]
        self._exact: dict[bytes, list[Match]] = {}
        self._prefixes: dict[bytes, list[Match]] = {}
        self._patterns: list[Match] = []
        for match in matches:
            if match.path is not None:
                self._exact.setdefault(match.path, []).append(match)
            elif match.prefix is not None:
                self._prefixes.setdefault(match.prefix, []).append(match)
            else:
                self._patterns.append(match)
        self._lengths = sorted({len(prefix) for prefix in self._prefixes})
        self._headers = frozenset(name for match in matches for name in match.header_names)
        self._params = frozenset(name for match in matches for name in match.param_names)
        first = matches[0] if matches else None
        self.always = first if first is not None and first.prefix == b"" and first.is_open else None

    def match(self, method: bytes, path: bytes, query: bytes, fields: Sequence[Field]) -> Match | None:
        """The first match that fits, None if none does. `path` and `query` as received.

        A header that comes several times counts as one, joined by `, ` (RFC 9110 5.3); of a query parameter the first
        value counts, decoded. The prefix `/` fits everything, `*` of OPTIONS too.
        """
        if self.always is not None:
            return self.always
        if b"%" in path or b"/." in path:
            path = normalize(path)
        headers = _join(fields, self._headers) if self._headers else _NONE
        params = first_params(query, self._params) if self._params and query else _NONE
        best: Match | None = None
        for match in self._exact.get(path, ()):
            if match.is_open or match.fits(method, headers, params):
                best = match
                break
        size = len(path)
        for length in self._lengths:
            if length > size:
                break
            # A prefix ends where a path element ends: at a slash, or with the path.
            if length and length < size and path[length] != 47:
                continue
            for match in self._prefixes.get(path[:length], ()):
                if best is not None and match.order > best.order:
                    break
                if match.is_open or match.fits(method, headers, params):
                    best = match
                    break
        for match in self._patterns:
            if best is not None and match.order > best.order:
                break
            assert match.pattern is not None
            if match.fits(method, headers, params) and match.pattern(path) is not None:
                return match
        return best


def _compile(order: int, match: wire.RouteMatch, rules: list[Rule]) -> Match:
    if not 0 <= match.rule < len(rules):
        raise ValueError(f"match {order}: rule {match.rule} does not exist, there are {len(rules)}")
    rule = rules[match.rule]
    try:
        return Match(order, match, rule)
    except ValueError as error:
        raise ValueError(f"rule {rule.name}: match {order} (path {match.path.value!r}): {error}") from None


def _values(matches: Sequence[wire.StringMatch], *, fold: bool) -> list[_Value]:
    """Compiled; of entries with the same name the first counts (Gateway API)."""
    values: dict[bytes, _Value] = {}
    for match in matches:
        try:
            value = _Value(match)
        except ValueError as error:
            raise ValueError(f"{match.name}: {match.value!r}: {error}") from None
        if fold:
            value.name = value.name.lower()
        values.setdefault(value.name, value)
    return list(values.values())


def _join(fields: Sequence[Field], wanted: frozenset[bytes]) -> dict[bytes, bytes]:
    """Of the wanted headers those that are there, each with its values joined."""
    joined: dict[bytes, bytes] = {}
    for field in fields:
        name = field[0]
        if name in wanted:
            joined[name] = joined[name] + b", " + field[2] if name in joined else field[2]
    return joined
