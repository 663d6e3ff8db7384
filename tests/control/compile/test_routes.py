import pytest

from control.compile.status import route_status
from control.index.index import Index
from control.model.decode import decode
from control.model.objects import Key
from meshproxy.wire import resources as wire
from tests.control.build import (
    compiled,
    endpoint_slice,
    grant,
    http_route,
    index_of,
    parent,
    path,
    resources_of,
    rule,
    service,
)

MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a", "port": 80}}}
REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example.com", "statusCode": 301}}


def routes_of(*documents, name="a:80"):
    return resources_of(*documents)[f"routes/shop/{name}"]


def backends_of(*documents):
    return [(item.backend, item.weight, item.fault) for item in routes_of(*documents).rules[0].backends]


def conditions(*documents, name="a", at=0, namespace="shop"):
    index = index_of(*documents)
    status = route_status(index, index.routes[Key(namespace, name)])[at]
    return {item.type: (item.status, item.reason) for item in status.conditions}


def is_default(routes):
    return [item.name for item in routes.rules] == ["default"]


def test_a_service_without_routes_goes_to_itself():
    assert routes_of(service("a")) == wire.Routes(
        matches=[wire.RouteMatch(rule=0)],
        rules=[wire.Rule(name="default", backends=[wire.RouteBackend(backend="shop/a:80")])],
    )


def test_a_rule_carries_all_that_the_route_says():
    header = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["x-d"]}}
    twice = [{"name": "X-B", "value": "1"}, {"name": "x-b", "value": "2"}]
    edits = {"set": twice, "add": [{"name": "x-c", "value": "1"}]}
    rewrite = {"hostname": "c", "path": {"type": "ReplaceFullPath", "replaceFullPath": "/d"}}
    match = {
        **path("/a", "Exact"),
        "method": "GET",
        "headers": [{"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"}],
        "queryParams": [{"name": "Q", "value": ".*", "type": "RegularExpression"}],
    }
    given = rule(
        {"name": "b", "port": 80, "weight": 3, "filters": [header]},
        name="main",
        matches=[match],
        filters=[
            {"type": "RequestHeaderModifier", "requestHeaderModifier": edits},
            {"type": "URLRewrite", "urlRewrite": rewrite},
        ],
        timeouts={"request": "2s", "backendRequest": "500ms"},
        retry={"codes": [503, 500], "attempts": 2},
    )
    assert routes_of(service("a"), service("b"), http_route("a", given)) == wire.Routes(
        matches=[
            wire.RouteMatch(
                rule=0,
                path=wire.PathMatch(type="Exact", value="/a"),
                headers=[wire.StringMatch(name="x-a", value="1")],
                query_params=[wire.StringMatch(name="Q", value=".*", type="RegularExpression")],
                method="GET",
            )
        ],
        rules=[
            wire.Rule(
                name="shop/a/main",
                filters=[
                    wire.RequestHeaderModifier(set=[("X-B", "1")], add=[("x-c", "1")]),
                    wire.URLRewrite(hostname="c", path=wire.ReplaceFullPath(value="/d")),
                ],
                backends=[
                    wire.RouteBackend(
                        backend="shop/b:80", weight=3, filters=[wire.ResponseHeaderModifier(remove=["x-d"])]
                    )
                ],
                timeouts=wire.Timeouts(request_s=2.0, backend_request_s=0.5),
                retry=wire.Retry(codes=[500, 503], attempts=2, backoff_s=0.025),
            )
        ],
    )


def test_matches_of_all_routes_are_merged_by_precedence():
    found = routes_of(
        service("a"),
        http_route("young", rule("a", name="x", matches=[path("/x")]), parents=["a"], created="2026-01-02T00:00:00Z"),
        http_route("old", rule("a", matches=[path("/"), path("/x")]), parents=["a"], created="2026-01-01T00:00:00Z"),
        http_route("exact", rule("a", matches=[path("/x", "Exact")]), parents=["a"]),
    )
    order = [(found.rules[match.rule].name, match.path.value) for match in found.matches]
    assert order == [("shop/exact/0", "/x"), ("shop/old/0", "/x"), ("shop/young/x", "/x"), ("shop/old/0", "/")]


@pytest.mark.parametrize(
    ("reference", "attached"),
    [
        (parent("a"), {80, 81}),
        (parent("a", port=80), {80}),
        (parent("a", sectionName="p81"), {81}),
        (parent("a", port=80, sectionName="p80"), {80}),
        (parent("a", port=80, sectionName="p81"), set()),
        (parent("a", port=82), set()),
        (parent("a", namespace="shop"), {80, 81}),
        (parent("a", namespace="bank"), set()),
        (parent("b"), set()),
        ({"name": "a"}, set()),
        ({"name": "a", "group": "", "kind": "Pod"}, set()),
    ],
)
def test_a_route_attaches_to_the_ports_that_its_parent_reference_names(reference, attached):
    documents = [
        service("a", 80, 81),
        service("a", 80, 81, namespace="bank"),
        http_route("r", rule("a"), parents=[reference]),
    ]
    resources = resources_of(*documents)
    assert {port for port in (80, 81) if not is_default(resources[f"routes/shop/a:{port}"])} == attached
    assert is_default(resources["routes/bank/a:80"])


BANK = {"name": "far", "namespace": "bank", "port": 80}


@pytest.mark.parametrize(
    ("reference", "backend", "fault", "reason"),
    [
        ({"name": "b", "port": 80}, "shop/b:80", "", "ResolvedRefs"),
        ({"name": "b", "port": 81}, "shop/b:81", "backend_missing", "BackendNotFound"),
        ({"name": "gone", "port": 80}, "shop/gone:80", "backend_missing", "BackendNotFound"),
        ({"name": "Gone!", "port": 80}, "", "backend_missing", "BackendNotFound"),
        ({"name": "out", "port": 80}, "shop/out:80", "backend_unsupported", "InvalidKind"),
        ({"name": "dns", "port": 53}, "shop/dns:53", "backend_unsupported", "UnsupportedProtocol"),
        ({"name": "b", "port": 80, "kind": "Pod"}, "shop/b:80", "backend_unsupported", "InvalidKind"),
        ({"name": "b", "group": "example.com", "kind": "Bucket"}, "", "backend_unsupported", "InvalidKind"),
        (BANK, "bank/far:80", "ref_not_permitted", "RefNotPermitted"),
        ({**BANK, "name": "gone"}, "bank/gone:80", "ref_not_permitted", "RefNotPermitted"),
        ({**BANK, "namespace": "shop", "name": "b"}, "shop/b:80", "", "ResolvedRefs"),
    ],
)
def test_a_backend_that_cannot_be_used_carries_its_fault_and_the_status_its_reason(reference, backend, fault, reason):
    documents = [
        service("a"),
        service("b"),
        service("far", namespace="bank"),
        service("dns", {"port": 53, "protocol": "UDP"}),
        service("out", type="ExternalName", externalName="example.com"),
        http_route("a", rule({**reference, "weight": 7})),
    ]
    assert backends_of(*documents) == [(backend, 7, fault)]
    assert conditions(*documents) == {"Accepted": (True, "Accepted"), "ResolvedRefs": (not fault, reason)}


def test_a_grant_makes_a_backend_of_another_namespace_usable():
    documents = [service("a"), service("far", namespace="bank"), http_route("a", rule(BANK)), grant("g", "shop", "far")]
    assert backends_of(*documents) == [("bank/far:80", 1, "")]
    assert conditions(*documents)["ResolvedRefs"] == (True, "ResolvedRefs")


def test_a_rule_that_can_choose_no_backend_answers_500():
    none = http_route("a", rule({"name": "a", "port": 80, "weight": 0}))
    assert backends_of(service("a"), none) == [("shop/a:80", 0, ""), ("", 1, "backend_missing")]


def test_a_rule_that_names_no_backend_sends_to_its_parent():
    assert backends_of(service("a"), http_route("a", {})) == [("shop/a:80", 1, "")]


def test_a_redirect_needs_no_backend():
    found = routes_of(service("a"), http_route("a", {"filters": [REDIRECT]}))
    assert found.rules[0].backends == []
    assert found.rules[0].filters == [wire.RequestRedirect(hostname="b.example.com", status_code=301)]


INVALID = {
    "a filter that is not supported": ({"filters": [MIRROR]}, "RequestMirror is not supported at rules"),
    "a redirect at a backend": (
        {"backendRefs": [{"name": "a", "port": 80, "filters": [REDIRECT]}]},
        "RequestRedirect is not supported at backendRefs",
    ),
    "session persistence": ({"sessionPersistence": {"type": "Header", "header": {"name": "x"}}}, "sessionPersistence"),
    "a header of the framing": (
        {"filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["Content-Length"]}}]},
        "content-length",
    ),
    "too many retries": ({"retry": {"attempts": 1000}}, "allowed: 0 to 100"),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_rule_beside_a_valid_one_answers_500(name):
    broken, message = INVALID[name]
    documents = [service("a"), http_route("a", rule("a", matches=[path("/ok")]), {**rule("a"), **broken})]
    found = routes_of(*documents)
    assert [item.backends[0].fault for item in found.rules] == ["", "backend_unsupported"]
    assert found.rules[1].filters == []
    assert [(match.rule, match.path.value) for match in found.matches] == [(0, "/ok"), (1, "/")]
    assert conditions(*documents)["PartiallyInvalid"] == (True, "UnsupportedValue")
    index = index_of(*documents)
    (status,) = route_status(index, index.routes[Key("shop", "a")])
    assert message.lower() in status.conditions[1].message.lower()


@pytest.mark.parametrize("name", INVALID)
def test_a_route_of_invalid_rules_only_is_not_accepted_and_does_not_attach(name):
    documents = [service("a"), http_route("a", {**rule("a"), **INVALID[name][0]})]
    assert is_default(routes_of(*documents))
    assert conditions(*documents)["Accepted"] == (False, "UnsupportedValue")


def test_a_route_without_rules_says_so():
    made = http_route("a")
    made["spec"]["rules"] = []
    index = Index()
    for item in (decode(service("a")), decode(made, is_admitted=True)):
        index.apply(item)
    (status,) = route_status(index, index.routes[Key("shop", "a")])
    accepted = status.conditions[0]
    assert (accepted.type, accepted.status, accepted.message) == ("Accepted", False, "the route has no rules")


def test_a_rule_whose_match_cannot_be_understood_is_dropped():
    broken = rule("a", matches=[path("(", "RegularExpression")])
    documents = [service("a"), http_route("a", broken, rule("a", matches=[path("/ok")]))]
    found = routes_of(*documents)
    assert [item.name for item in found.rules] == ["shop/a/1"]
    assert [match.rule for match in found.matches] == [0]
    assert conditions(*documents)["PartiallyInvalid"] == (True, "UnsupportedValue")


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (parent("gone"), "NoMatchingParent"),
        (parent("a", port=81), "NoMatchingParent"),
        (parent("a", sectionName="x"), "NoMatchingParent"),
        (parent("out"), "NoMatchingParent"),
        (parent("gone", namespace="bank"), "NoMatchingParent"),
        (parent("a", namespace="bank", port=81), "NoMatchingParent"),
    ],
)
def test_a_route_is_not_accepted_where_it_cannot_attach(reference, reason):
    out = service("out", type="ExternalName", externalName="example.com")
    documents = [service("a"), out, service("a", namespace="bank"), http_route("r", rule("a"), parents=[reference])]
    assert conditions(*documents, name="r")["Accepted"] == (False, reason)


def test_a_status_is_given_for_each_service_and_for_no_other_parent():
    documents = [service("a"), http_route("a", rule("a"), parents=["gone", {"name": "gateway"}, "a"])]
    index = index_of(*documents)
    statuses = route_status(index, index.routes[Key("shop", "a")])
    assert [(status.parent.name, status.is_accepted) for status in statuses] == [("gone", False), ("a", True)]


def test_rules_without_a_name_are_called_by_their_number_and_never_as_another():
    given = http_route("a", rule("a"), rule("a", name="0"), rule("a", name="rule-0"), rule("a"))
    names = [item.name for item in routes_of(service("a"), given).rules]
    assert names == ["shop/a/rule-rule-0", "shop/a/0", "shop/a/rule-0", "shop/a/3"]


def test_hostnames_have_no_meaning():
    given = http_route("a", rule("a"), hostnames=["example.com"])
    assert routes_of(service("a"), given) == routes_of(service("a"), http_route("a", rule("a")))


def test_a_headless_service_has_routes_and_endpoints_as_any_other():
    resources = resources_of(
        service("a", clusterIP="None"), endpoint_slice("a", "10.0.0.1"), http_route("a", rule("a"))
    )
    assert not is_default(resources["routes/shop/a:80"])
    assert len(resources["endpoints/shop/a:80"].endpoints) == 1


def variants_of(*documents, name="a:80"):
    """The rules that callers of each namespace meet; those of everybody else under the empty name."""
    entries = compiled(index_of(*documents)).snapshot()
    return {
        entry.consumer: [item.name for item in entry.resource.rules]
        for entry in entries
        if entry.name == f"routes/shop/{name}"
    }


AWAY = parent("a", namespace="shop")


def test_a_consumer_route_replaces_the_producers_for_callers_of_its_own_namespace_alone():
    producers = [http_route("p", rule("a", matches=[path("/p")]), parents=["a"])]
    consumer = http_route("c", rule(matches=[path("/c")]), parents=[AWAY], namespace="bank")
    assert variants_of(service("a"), *producers, consumer) == {"": ["shop/p/0"], "bank": ["bank/c/0"]}
    assert variants_of(service("a"), consumer) == {"": ["default"], "bank": ["bank/c/0"]}


def test_consumer_routes_of_one_namespace_are_merged_and_those_of_two_are_not():
    routes = [
        http_route(name, rule(matches=[path(f"/{name}")]), parents=[AWAY], namespace=namespace)
        for name, namespace in (("x", "bank"), ("long", "bank"), ("y", "park"))
    ]
    found = variants_of(service("a"), *routes)
    assert found == {"": ["default"], "bank": ["bank/long/0", "bank/x/0"], "park": ["park/y/0"]}


def test_a_consumer_route_keeps_to_the_ports_that_it_names():
    routes = [http_route("c", rule(), parents=[parent("a", namespace="shop", port=81)], namespace="bank")]
    assert variants_of(service("a", 80, 81), *routes) == {"": ["default"]}
    assert variants_of(service("a", 80, 81), *routes, name="a:81") == {"": ["default"], "bank": ["bank/c/0"]}


def test_a_consumer_route_without_a_valid_rule_replaces_nothing():
    invalid = http_route("c", {**rule("a"), "filters": [MIRROR]}, parents=[AWAY], namespace="bank")
    assert variants_of(service("a"), http_route("a", rule("a")), invalid) == {"": ["shop/a/0"]}
    assert conditions(service("a"), invalid, name="c", namespace="bank")["Accepted"] == (False, "UnsupportedValue")


@pytest.mark.parametrize(
    ("target", "fault"),
    [("shop", ""), ("bank", ""), ("park", "ref_not_permitted")],
    ids=["of its parent", "of its own", "of neither"],
)
def test_a_consumer_route_refers_to_its_parents_namespace_and_its_own_without_a_grant(target, fault):
    documents = [
        *(service("a", namespace=namespace) for namespace in ("shop", "bank", "park")),
        http_route("c", rule({"name": "a", "namespace": target, "port": 80}), parents=[AWAY], namespace="bank"),
    ]
    (variant,) = [entry for entry in compiled(index_of(*documents)).snapshot() if entry.consumer]
    assert [(item.backend, item.fault) for item in variant.resource.rules[0].backends] == [(f"{target}/a:80", fault)]
    reason = "RefNotPermitted" if fault else "ResolvedRefs"
    found = conditions(*documents, name="c", namespace="bank")
    assert found == {"Accepted": (True, "Accepted"), "ResolvedRefs": (not fault, reason)}


def test_a_second_parent_elsewhere_permits_nothing_at_the_first():
    both = http_route("r", rule(BANK), parents=["a", parent("far", namespace="bank")])
    documents = [service("a"), service("far", namespace="bank"), both]
    assert backends_of(*documents) == [("bank/far:80", 1, "ref_not_permitted")]
    resolved = [conditions(*documents, name="r", at=at)["ResolvedRefs"] for at in (0, 1)]
    assert resolved == [(False, "RefNotPermitted"), (True, "ResolvedRefs")]
