import pytest

from control.model.decode import ObjectError, decode
from tests.control.build import http_route, parent, path, rule

REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}}
REWRITE = {"type": "URLRewrite", "urlRewrite": {"hostname": "b"}}
PREFIX = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}}}


def flaws(route):
    with pytest.raises(ObjectError) as caught:
        decode(route)
    return [str(flaw) for flaw in caught.value.flaws]


@pytest.mark.parametrize(
    ("broken", "path_", "message"),
    [
        (rule("a", matches=[path("a")]), "matches[0].path.value", "is not absolute"),
        (rule("a", matches=[path("/a//b")]), "matches[0].path.value", "holds '//'"),
        (rule("a", matches=[path("/a/./b")]), "matches[0].path.value", "holds '/./'"),
        (rule("a", matches=[path("/a/..")]), "matches[0].path.value", "holds '/..'"),
        (rule("a", matches=[path("/a%2Fb", "Exact")]), "matches[0].path.value", "holds '%2F'"),
        (rule("a", matches=[path("/a#b")]), "matches[0].path.value", "holds '#'"),
        (rule("a", matches=[path("/ä")]), "matches[0].path.value", "must be percent-encoded"),
        (rule("a", matches=[path("/a%zz")]), "matches[0].path.value", "must be percent-encoded"),
        (rule("a", matches=[path("/a", "Prefix")]), "matches[0].path.type", "allowed: Exact, PathPrefix, Regular"),
        (rule({"name": "a"}), "backendRefs[0].port", "is required for a Service"),
        (rule({"name": "a", "port": 0}), "backendRefs[0].port", "allowed: 1 to 65535"),
        (rule({"name": "a", "port": 80, "weight": -1}), "backendRefs[0].weight", "allowed: 0 to 1000000"),
        (rule("a", filters=[REDIRECT]), "backendRefs", "excludes a RequestRedirect filter"),
        (rule(filters=[REDIRECT, REDIRECT]), "filters", "RequestRedirect stands twice"),
        (rule(filters=[REDIRECT, REWRITE]), "filters", "exclude each other"),
        (rule("a", filters=[{"type": "URLRewrite"}]), "filters[0].urlRewrite", "is required for type URLRewrite"),
        (rule("a", filters=[{**REWRITE, "type": "CORS", "cors": {}}]), "filters[0].urlRewrite", "belongs to filters"),
        (rule("a", filters=[{"type": "Teapot"}]), "filters[0].type", "'Teapot' is unknown"),
        (rule("a", filters=[PREFIX], matches=[path("/a"), path("/b")]), "filters[0].urlRewrite.path", "exactly one"),
        (rule("a", filters=[PREFIX], matches=[path("/a", "Exact")]), "filters[0].urlRewrite.path", "exactly one"),
        (
            rule("a", filters=[{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath"}}}]),
            "filters[0].urlRewrite.path.replaceFullPath",
            "is required",
        ),
        (rule("a", timeouts={"request": "1s", "backendRequest": "2s"}), "timeouts.backendRequest", "not be longer"),
        (rule("a", timeouts={"request": "soon"}), "timeouts.request", "is malformed"),
        (rule("a", retry={"attempts": 0}), "retry.attempts", "allowed: at least 1"),
        (rule("a", retry={"codes": [200]}), "retry.codes[0]", "allowed: 400 to 599"),
        (rule("a", retry={"codes": [503, 503]}), "retry.codes[1]", "stands twice"),
        (rule("a", retries={}), "retries", "unknown field; allowed: backendRefs, filters, matches"),
        (rule("a", matches=[{"method": "get"}]), "matches[0].method", "allowed: GET, HEAD"),
    ],
)
def test_a_broken_rule_is_refused_with_its_place(broken, path_, message):
    (flaw,) = flaws(http_route("a", rule("a"), broken))
    assert flaw.startswith(f"spec.rules[1].{path_}: ")
    assert message in flaw


def test_a_request_timeout_of_zero_is_none_and_bounds_nothing():
    route = decode(http_route("a", rule("a", timeouts={"request": "0s", "backendRequest": "2s"})))
    assert route.spec.rules[0].timeouts.backend_request == "2s"


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ([parent("a"), parent("a")], "spec.parentRefs[1]: stands twice"),
        ([parent("a", port=80), parent("a", port=80)], "spec.parentRefs[1]: stands twice"),
        ([parent("a", port=80), parent("a")], "spec.parentRefs[1]: names a parent again"),
    ],
)
def test_parents_are_distinct(parents, message):
    assert flaws(http_route("a", rule("a"), parents=parents))[0].startswith(message)


def test_the_same_parent_may_stand_with_several_ports():
    decode(http_route("a", rule("a"), parents=[parent("a", port=80), parent("a", port=81), parent("b")]))


def test_rule_names_are_unique():
    assert flaws(http_route("a", rule("a", name="x"), rule("a", name="x"))) == [
        "spec.rules[1].name: 'x' names another rule too"
    ]


def test_all_rules_together_have_a_bounded_number_of_matches():
    many = [path(f"/{i}") for i in range(64)]
    decode(http_route("a", rule("a", matches=many), rule("a", matches=many)))
    assert "at most 128" in flaws(http_route("a", rule("a", matches=many), rule("a", matches=many), rule("a")))[0]


def test_all_flaws_are_told_at_once():
    route = http_route("a", rule("a", wrong=1), {"backendRefs": [{"port": 80}, {"name": "b", "port": "80"}]})
    names = "backendRefs, filters, matches, name, retry, sessionPersistence, timeouts"
    assert flaws(route) == [
        f"spec.rules[0].wrong: unknown field; allowed: {names}",
        "spec.rules[1].backendRefs[0].name: is required",
        "spec.rules[1].backendRefs[1].port: is string; allowed: integer",
    ]


def test_what_backends_do_to_the_prefix_is_not_looked_at_since_the_crd_lets_several_do_it():
    backends = [{"name": name, "port": 80, "filters": [PREFIX]} for name in ("a", "b")]
    assert decode(http_route("a", rule(*backends, matches=[path("/a"), path("/b")])))
