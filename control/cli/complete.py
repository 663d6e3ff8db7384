"""Shell completion of kinds and names: bounded in time and number, and quiet when something is wrong."""

from __future__ import annotations

import typer

from control.cli.client import DEFAULT_API, Client, place_of
from control.cli.credential import find_credential
from control.cli.failure import Failure
from control.cli.kinds import ALL, PROXY, kind_of, metadata_of
from control.model.kinds import HTTP_ROUTE, Kind
from meshproxy.wire.names import is_subdomain

MAX_NAMES = 200
TIMEOUT_S = 1.0
_REPORTS = ("config", "endpoints", "metrics")


def complete_kind(incomplete: str) -> list[str]:
    return [kind.plural for kind in ALL if kind.plural.startswith(incomplete.lower())]


def complete_name(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of an object of the kind that stands before it."""
    try:
        kind = kind_of(ctx.params.get("kind") or "")
    except Failure:
        return []
    return _names(ctx, kind, incomplete)


def complete_route(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, HTTP_ROUTE, incomplete)


def complete_proxy(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, PROXY, incomplete)


def complete_report(incomplete: str) -> list[str]:
    return [word for word in _REPORTS if word.startswith(incomplete)]


def _names(ctx: typer.Context, kind: Kind, incomplete: str) -> list[str]:
    namespace = ctx.params.get("namespace") or "default"
    given = ctx.find_root().params
    try:
        client = Client(given.get("api") or DEFAULT_API, find_credential(given.get("token_file")), TIMEOUT_S)
        found = client.get(place_of(kind, namespace), limit=str(MAX_NAMES))
    except Failure:
        return []
    client.close()
    items = found.get("items") if isinstance(found, dict) else None
    names = [str(metadata_of(item).get("name", "")) for item in (items if isinstance(items, list) else ())]
    # A shell evaluates what it is given: nothing but names goes there.
    return [name for name in names if name.startswith(incomplete) and is_subdomain(name)][:MAX_NAMES]
