"""The table of rights and the role that grants them say the same."""

from pathlib import Path

import yaml

from control.kube.resources import WATCHED
from control.kube.rights import READ, RULES, review

ROLE = Path(__file__).parents[3] / "deploy" / "rbac.yaml"


def documents():
    return {document["kind"]: document for document in yaml.safe_load_all(ROLE.read_text())}


def granted():
    """Everything that the role grants: (verb, group, resource, path)."""
    found = []
    for rule in documents()["ClusterRole"]["rules"]:
        assert rule.keys() in ({"apiGroups", "resources", "verbs"}, {"nonResourceURLs", "verbs"})
        for verb in rule["verbs"]:
            found += [(verb, "", "", path) for path in rule.get("nonResourceURLs", ())]
            found += [
                (verb, group, resource, "")
                for group in rule.get("apiGroups", ())
                for resource in rule.get("resources", ())
            ]
    return found


def used():
    return [(verb, rule.group, rule.resource, rule.path) for rule in RULES for verb in rule.verbs]


def test_the_role_grants_exactly_what_is_used_and_nothing_twice():
    assert sorted(granted()) == sorted(used())
    assert len(set(used())) == len(used())


def test_nothing_is_granted_by_a_wildcard_and_nothing_that_writes():
    assert not any("*" in word for right in granted() for word in right)
    writing = {"create", "update", "patch", "delete", "deletecollection", "escalate", "bind", "impersonate"}
    assert [right[1:3] for right in granted() if right[0] in writing] == [
        ("authorization.k8s.io", "selfsubjectaccessreviews")
    ]
    assert "secrets" not in {right[2] for right in granted()}


def test_each_kind_that_is_watched_may_be_listed_and_watched():
    rules = {(rule.group, rule.resource): rule.verbs for rule in RULES}
    for watched in WATCHED:
        assert rules[watched.kind.group, watched.kind.plural] == READ


def test_the_role_is_bound_to_the_account():
    found = documents()
    account, role, binding = found["ServiceAccount"], found["ClusterRole"], found["ClusterRoleBinding"]
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": role["metadata"]["name"],
    }
    assert binding["subjects"] == [{"kind": "ServiceAccount", **account["metadata"]}]
    assert account["metadata"] == {"name": "meshcontrol", "namespace": "meshproxy-system"}


def test_a_review_asks_for_one_right():
    by_name = {rule.resource or rule.path: rule for rule in RULES}
    assert review(by_name["httproutes"], "watch")["spec"] == {
        "resourceAttributes": {"group": "gateway.networking.k8s.io", "resource": "httproutes", "verb": "watch"}
    }
    assert review(by_name["pods"], "list")["spec"]["resourceAttributes"]["group"] == ""
    asked = review(by_name["/version"], "get")
    assert asked["spec"] == {"nonResourceAttributes": {"path": "/version", "verb": "get"}}
    assert (asked["apiVersion"], asked["kind"]) == ("authorization.k8s.io/v1", "SelfSubjectAccessReview")
