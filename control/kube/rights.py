"""What is asked of an API server, and so what it has to allow: this table and deploy/rbac.yaml say the same."""

from __future__ import annotations

from typing import Any, NamedTuple

from control.kube.resources import WATCHED
from control.model.kinds import GATEWAY, HTTP_ROUTE

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
READ = ("list", "watch")


class Rule(NamedTuple):
    """Verbs on one kind of objects, in all namespaces; or, of a path that is no object's, `get`."""

    group: str = ""
    resource: str = ""
    verbs: tuple[str, ...] = ("get",)
    path: str = ""


RULES = (
    *(Rule(watched.kind.group, watched.kind.plural, READ) for watched in WATCHED),
    Rule("authorization.k8s.io", "selfsubjectaccessreviews", ("create",)),
    *(Rule(path=path) for path in ("/version", "/apis")),
    *(Rule(path=f"/apis/{GATEWAY}/{version}") for version in HTTP_ROUTE.versions),
)


def review(rule: Rule, verb: str) -> dict[str, Any]:
    """Return the question whether we may: a SelfSubjectAccessReview (authorization.k8s.io/v1)."""
    if rule.path:
        asked: dict[str, Any] = {"nonResourceAttributes": {"path": rule.path, "verb": verb}}
    else:
        # Without a namespace it means all of them.
        asked = {"resourceAttributes": {"group": rule.group, "resource": rule.resource, "verb": verb}}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": asked}
