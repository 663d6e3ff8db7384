"""Whether the API server allows us what we do: a SelfSubjectAccessReview for each right."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec
from msgspec import Struct

from control.kube.events import understood
from control.kube.failure import KubeError
from control.kube.questions import Questions
from control.kube.rights import REVIEWS, RULES, Rule, review
from control.model.check import Check
from meshproxy.kit.text import printable

SECTION = "Rights"
GRANT = "kubectl apply -f deploy/rbac.yaml grants it to the service account meshproxy-system/meshcontrol"


class _Status(Struct, rename="camel"):
    allowed: bool
    reason: str = ""
    evaluation_error: str = ""


class _Review(Struct):
    status: _Status


_reviews = msgspec.json.Decoder(_Review)


class Right(NamedTuple):
    """Whether we may; None when that could not be found out. `reason` says why not."""

    rule: Rule
    verb: str
    is_allowed: bool | None
    reason: str


async def ask(questions: Questions) -> list[Check]:
    """Return a check for each resource, and one for discovery."""
    answers = await asyncio.gather(*(_may(questions, rule, verb) for rule in RULES for verb in rule.verbs))
    rows: dict[str, list[Right]] = {}
    for right in answers:
        rows.setdefault(right.rule.resource or "discovery", []).append(right)
    return [_right(name, rights) for name, rights in rows.items()]


async def _may(questions: Questions, rule: Rule, verb: str) -> Right:
    try:
        status = understood(await questions.post(REVIEWS, review(rule, verb)), _reviews, "the answer").status
    except KubeError as error:
        # Who may not ask lacks that very right; of the others nothing is known.
        is_denied = error.code == 403 and rule.resource == "selfsubjectaccessreviews"
        return Right(rule, verb, False if is_denied else None, str(error))
    return Right(rule, verb, status.allowed, printable(status.reason or status.evaluation_error))


def _right(name: str, rights: list[Right]) -> Check:
    denied = [right for right in rights if right.is_allowed is False]
    unknown = [right for right in rights if right.is_allowed is None]
    if denied:
        return Check(SECTION, name, "fail", f"may not {_deeds(denied)}{_why(denied[0])}", GRANT)
    if unknown:
        return Check(SECTION, name, "warn", f"not known whether we may {_deeds(unknown)}{_why(unknown[0])}")
    return Check(SECTION, name, "ok", _deeds(rights))


def _deeds(rights: list[Right]) -> str:
    """Return `list, watch`; of paths `get /version, /apis`."""
    if rights[0].rule.path:
        return f"{rights[0].verb} {', '.join(right.rule.path for right in rights)}"
    return ", ".join(right.verb for right in rights)


def _why(right: Right) -> str:
    return f": {right.reason}" if right.reason else ""
