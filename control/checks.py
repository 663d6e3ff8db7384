"""What `meshctl check` shows of a control plane: where its objects live, what is made of them, who has it."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence

from control.api.protocols import Checks
from control.compile.compiler import Compiler
from control.compile.status import Condition, route_status
from control.feed import Feed
from control.index.index import Index
from control.model.check import Check, State
from control.push.hub import Hub
from control.push.proxies import ProxyRow
from meshproxy.kit.age import shown
from meshproxy.kit.aio.slices import in_slices

MAX_TOLD = 100
"""Of routes and of sidecars that are not well; how many more there are is told."""
MAX_NAMES = 10
"""Of resources that cannot be compiled."""
PATIENCE_S = 10.0
"""A sidecar may be behind for so long before it is told: an Ack takes a moment, and so does a reconnect."""

_CONFIGURATION = "Configuration"
_SIDECARS = "Sidecars"


async def gather(own: Checks, index: Index, compiler: Compiler, feed: Feed, hub: Hub) -> list[Check]:
    """Return everything that was found; `own` are the checks of where the objects live."""
    return [
        *await own(),
        *await in_slices(routes(index)),
        resources(len(compiler.entries), feed.failing),
        *sidecars(hub.proxies()),
    ]


def routes(index: Index) -> Generator[None, None, list[Check]]:
    """Tell which routes are not what they were written to be; yields after each, since the loop has other work."""
    unwell: list[Check] = []
    present = list(index.routes.values())
    for route in present:
        yield
        flaws = [flaw for status in route_status(index, route) for flaw in status.conditions if _is_flaw(flaw)]
        if flaws:
            text = "; ".join(dict.fromkeys(f"{flaw.reason}: {flaw.message}" for flaw in flaws))
            hint = "meshctl describe httproute NAME -n NS, and meshctl explain URL --from NS/SA"
            unwell.append(Check(_CONFIGURATION, f"HTTPRoute {route.key}", "warn", text, hint))
    if not unwell:
        text = f"{len(present)}, and all that they refer to is there" if present else "none"
        return [Check(_CONFIGURATION, "routes", "ok", text)]
    unwell.sort(key=lambda check: check.name)
    return [
        Check(
            _CONFIGURATION, "routes", "ok", f"{len(present) - len(unwell)} of {len(present)} are in effect as written"
        ),
        *_most(unwell),
    ]


def _is_flaw(condition: Condition) -> bool:
    return condition.status == (condition.type == "PartiallyInvalid")


def resources(count: int, failing: Collection[str]) -> Check:
    """Tell whether everything could be compiled, and what could not be."""
    if not failing:
        return Check(_CONFIGURATION, "compiled", "ok", f"{count} resources")
    names = ", ".join(sorted(failing)[:MAX_NAMES])
    more = f" and {len(failing) - MAX_NAMES} more" if len(failing) > MAX_NAMES else ""
    return Check(
        _CONFIGURATION,
        "compiled",
        "fail",
        f"{count} resources; what stays as it was because it cannot be compiled: {names}{more}",
        "this is a defect of the control plane, whose log has the cause: please report it",
    )


def sidecars(rows: Sequence[ProxyRow]) -> list[Check]:
    """Tell how many sidecars are connected, and which of them do not have what they should have."""
    unwell = [check for row in rows if (check := _sidecar(row)) is not None]
    unwell.sort(key=lambda check: check.state)  # what fails before what warns
    count = f"{len(rows)}, of which {len(rows) - len(unwell)} have what they should have" if rows else "none"
    return [Check(_SIDECARS, "connected", "ok", count), *_most(unwell)]


def _sidecar(row: ProxyRow) -> Check | None:
    name = f"{row.namespace}/{row.name}"
    hint = "what a sidecar has, and why not more: meshctl proxies NS/NAME"
    if row.last_nack:
        more = f" (and {len(row.last_nack) - 1} more)" if len(row.last_nack) > 1 else ""
        problem = f"refuses what it was sent, and keeps what it had: {row.last_nack[0]}{more}"
        return Check(_SIDECARS, name, "fail", problem, hint)
    if row.synced or row.stale_for_s < PATIENCE_S:
        return None
    pushes = "1 push is" if row.unacknowledged == 1 else f"{row.unacknowledged} pushes are"
    return Check(_SIDECARS, name, "warn", f"behind for {shown(row.stale_for_s)}; {pushes} not acknowledged", hint)


def _most(unwell: list[Check]) -> list[Check]:
    """Return at most MAX_TOLD of a section's checks, and how many more there are."""
    rest = unwell[MAX_TOLD:]
    if not rest:
        return unwell
    worst: State = "fail" if any(check.state == "fail" for check in rest) else "warn"
    return [*unwell[:MAX_TOLD], Check(rest[0].section, "and more", worst, f"{len(rest)} that are not told here")]
