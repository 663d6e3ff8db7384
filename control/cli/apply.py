"""`meshctl apply`: manifests to the control plane, all of them or none."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer

from control.cli.client import Client
from control.cli.failure import ApiError, Failure, Unreachable
from control.cli.kinds import metadata_of
from control.cli.options import Files, ForceConflicts, Namespace, connect
from control.cli.screen import say, warn
from control.cli.submit import Plan, current, explained, gather, plan, submit, version_of
from control.cli.text import written
from control.model.kinds import HTTP_ROUTE
from meshproxy.kit.text import printable

STATUS_WAIT_S = 2.0
"""So long the status of routes is waited for."""
_POLL_S = 0.05


class Done(NamedTuple):
    """One object that was applied, and what has become of it."""

    plan: Plan
    document: dict[str, Any]


def apply(
    ctx: typer.Context,
    file: Files,
    namespace: Namespace = "default",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="MESHCTL_DRY_RUN", help="Have the server check it, and change nothing.")
    ] = False,
    force_conflicts: ForceConflicts = False,
) -> None:
    """Apply manifests: create what is not there, and make what is there as they say.

    All objects are checked first, here and by the control plane; if one is
    refused, nothing is applied. Should the control plane fail in the midst
    of it, what was applied and what was not is told, and the exit status
    is 1. Routes that are not accepted are warned of.

    Examples:
    meshctl apply -f manifests/

    meshctl get httproute echo -o yaml | sed s/v1/v2/ | meshctl apply -f -

    """
    client = connect(ctx)
    try:
        plans = plan(client, gather(ctx, file, namespace), force=force_conflicts)
    except (Failure, KeyboardInterrupt) as error:
        raise Failure(f"{error or 'interrupted'}\nnothing was applied") from None
    if dry_run:
        for item in plans:
            say(f"{printable(item.item.label)} {_outcome(item)} (dry run)")
        return
    done = _apply(client, plans, force=force_conflicts)
    for line in _route_warnings(client, done):
        warn(f"warning: {line}")


def _apply(client: Client, plans: Sequence[Plan], *, force: bool) -> list[Done]:
    """Apply all. Raise Failure that says what was not applied, at the first that fails."""
    done: list[Done] = []
    for item in plans:
        try:
            document = submit(client, item.item, force=force).document
        except (Failure, KeyboardInterrupt) as error:
            raise Failure(_broken_off(item, error, plans[len(done) + 1 :], len(done))) from None
        before = version_of(item.before)
        done.append(Done(item, document))
        word = "unchanged" if before and version_of(document) == before else "configured" if item.before else "created"
        say(f"{printable(item.item.label)} {word}")
    return done


def _broken_off(failed: Plan, error: BaseException, rest: Sequence[Plan], count: int) -> str:
    """Say exactly what is done and what is not; of a request without an answer, nobody knows."""
    cause = explained(error, failed.item) if isinstance(error, ApiError) else str(error) or "interrupted"
    is_refused = isinstance(error, ApiError) and error.code < 500
    lines = [f"{failed.item.place}: {failed.item.label}: {cause}"]
    if not is_refused and not (isinstance(error, Unreachable) and "cannot connect" in cause):
        lines.append(f"may be applied or not: {failed.item.label}")
        missing = [item.item.label for item in rest]
    else:
        missing = [failed.item.label, *(item.item.label for item in rest)]
    if missing:
        lines.append(f"not applied: {', '.join(missing)}")
    lines.append(f"{count} applied, as told above")
    return "\n".join(lines)


def _outcome(item: Plan) -> str:
    if item.before is None:
        return "created"
    return "unchanged" if written(item.before) == written(item.after) else "configured"


def _route_warnings(client: Client, done: Sequence[Done]) -> list[str]:
    """Wait for the status of the routes that were applied; return what is wrong with them."""
    waiting = [item for item in done if item.plan.item.kind is HTTP_ROUTE and _has_service_parent(item.document)]
    documents = {id(item): item.document for item in waiting}
    warnings: list[str] = []
    end = time.monotonic() + STATUS_WAIT_S
    while waiting:
        late = [item for item in waiting if not _is_settled(documents[id(item)])]
        for item in waiting:
            if item not in late:
                warnings += _flaws(item.plan.item.label, documents[id(item)])
        waiting = late
        if not waiting or time.monotonic() > end:
            break
        time.sleep(_POLL_S)
        for item in waiting:
            documents[id(item)] = current(client, item.plan.item) or {}
    return warnings + [f"{item.plan.item.label}: has no status yet" for item in waiting]


def _has_service_parent(document: dict[str, Any]) -> bool:
    refs = (document.get("spec") or {}).get("parentRefs") or ()
    return any(ref.get("kind") == "Service" for ref in refs)


def _is_settled(document: dict[str, Any]) -> bool:
    """Tell whether the status is about the generation that is there; an object that is gone is settled."""
    conditions = _conditions(document)
    generation = metadata_of(document).get("generation")
    return not document or (
        bool(conditions) and all(condition.get("observedGeneration") == generation for condition in conditions)
    )


def _conditions(document: dict[str, Any]) -> list[dict[str, Any]]:
    parents = (document.get("status") or {}).get("parents") or ()
    return [condition for parent in parents for condition in parent.get("conditions") or ()]


def _flaws(label: str, document: dict[str, Any]) -> list[str]:
    """Return what the conditions complain of: a positive one that is false, a negative one that is true."""
    result = []
    for condition in _conditions(document):
        expected = "False" if condition.get("type") == "PartiallyInvalid" else "True"
        if condition.get("status") != expected:
            verb = "is not" if expected == "True" else "is"
            text = f"{label}: {verb} {condition.get('type')}: {condition.get('reason')}: {condition.get('message')}"
            result.append(text)
    return list(dict.fromkeys(result))
