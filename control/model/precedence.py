"""Which match of which route comes first where several fit a request (Gateway API, HTTPRouteRule `matches`).

Exact path, then prefixes by length, then method, then the number of header matches, then of query parameters; ties go
to the oldest route, then to the first by NAMESPACE/NAME, then to the order within the route. Regular expressions,
whose place the specification leaves open, come between exact paths and prefixes, the longer expression first: whoever
writes one means something narrower than the prefix beside it.
"""

from __future__ import annotations

from typing import TypeAlias

from control.model.routes import HTTPRoute, Match

_PATHS = {"Exact": 0, "RegularExpression": 1, "PathPrefix": 2}

Rank: TypeAlias = tuple[int, int, int, int, int, str, str, int, int]


def rank(route: HTTPRoute, rule: int, match: int) -> Rank:
    """Return the sort key of a match, the lowest first. `rule` and `match` are indexes within the route."""
    specific = specificity(route.spec.rules[rule].conditions[match])
    created = route.metadata.creation_timestamp
    # A route without a timestamp (a file, not yet applied) is younger than all that have one.
    return (*specific, created or "~", str(route.key), rule, match)


def specificity(match: Match) -> tuple[int, int, int, int, int]:
    """Return the part of the rank that the match itself decides."""
    length = len(match.path.value) if match.path.type != "PathPrefix" else len(match.path.value.rstrip("/"))
    return (
        _PATHS[match.path.type],
        -length,
        0 if match.method else 1,
        -len(match.headers),
        -len(match.query_params),
    )
