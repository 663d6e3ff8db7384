"""Why each match of a route fits a request, or does not: what RouteTable decides, told condition by condition.

Nothing is decided here a second time: every question is put to a RouteTable of its own, which holds the match, or one
of its conditions alone; the first that turns the request away is the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from meshproxy.policy.message import Field, value_of
from meshproxy.policy.path import first_params, normalize
from meshproxy.policy.route import RouteTable
from meshproxy.wire import resources as wire


class Request(NamedTuple):
    """What a match looks at; `path` and `query` as received."""

    method: bytes
    path: bytes
    query: bytes
    fields: Sequence[Field]


def judge(match: wire.RouteMatch, request: Request) -> str:
    """Say which condition of a match the request does not meet, the first of them; empty when it meets all."""
    if _is_met(match, request):
        return ""
    return next(unmet for part, unmet in _parts(match, request) if not _is_met(part, request))


def describe(match: wire.RouteMatch) -> str:
    """Say in words what a match asks for."""
    words = [f"path {_PATHS[match.path.type]} {match.path.value}"]
    if match.method:
        words.append(f"method {match.method}")
    words.extend(f"header {_value(header)}" for header in match.headers)
    words.extend(f"query parameter {_value(param)}" for param in match.query_params)
    return ", ".join(words)


_PATHS = {"Exact": "exactly", "PathPrefix": "under", "RegularExpression": "like"}
_RULE = wire.Rule(name="asked")


def _is_met(match: wire.RouteMatch, request: Request) -> bool:
    table = RouteTable(wire.Routes(matches=[replace(match, rule=0)], rules=[_RULE]))
    return table.match(*request) is not None


def _parts(match: wire.RouteMatch, request: Request) -> Iterator[tuple[wire.RouteMatch, str]]:
    """Yield each condition as a match of its own, with what is said when it is not met."""
    path = _shown(normalize(request.path))
    part = wire.RouteMatch(rule=0, path=match.path)
    yield part, f"the path {path} is not {_PATHS[match.path.type]} {match.path.value}"
    part = wire.RouteMatch(rule=0, method=match.method)
    yield part, f"the method is {_shown(request.method)}, not {match.method}"
    for header in _firsts(match.headers, fold=True):
        found = value_of(list(request.fields), header.name.lower().encode())
        part = wire.RouteMatch(rule=0, headers=[header])
        yield part, f"header {_value(header)} is asked for, the request has {_shown(found) or 'none'}"
    for param in _firsts(match.query_params, fold=False):
        name = param.name.encode()
        found = first_params(request.query, frozenset((name,))).get(name, b"")
        part = wire.RouteMatch(rule=0, query_params=[param])
        yield part, f"query parameter {_value(param)} is asked for, the request has {_shown(found) or 'none'}"


def _firsts(conditions: list[wire.StringMatch], *, fold: bool) -> Iterable[wire.StringMatch]:
    """Of several entries for one name only the first counts."""
    firsts: dict[str, wire.StringMatch] = {}
    for condition in conditions:
        firsts.setdefault(condition.name.lower() if fold else condition.name, condition)
    return firsts.values()


def _value(match: wire.StringMatch) -> str:
    return f"{match.name} {'like' if match.type == 'RegularExpression' else '='} {match.value}"


def _shown(text: bytes) -> str:
    return text.decode("ascii", "backslashreplace")[:300]
