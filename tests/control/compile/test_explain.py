import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.compile.explain import MAX_ENDPOINTS, MAX_TRIED, explain
from control.model.decode import decode
from meshproxy.policy.route import RouteTable
from tests.control.build import (
    compiled,
    endpoint,
    endpoint_slice,
    grant,
    http_route,
    index_of,
    parent,
    path,
    pod,
    rule,
    service,
)
from tests.control.objects import BASE, NAMESPACES, documents

HEADER = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "X-Seen", "value": "1"}]}}
SHOP = [
    service("a", {"port": 80, "appProtocol": "grpc"}),
    service("b"),
    service("two", 81, 82),
    pod("a-1", "buyer"),
    endpoint_slice("a", endpoint("10.0.0.1", "a-1", zone="z1", nodeName="n1")),
    endpoint_slice("b", "10.0.1.1", "10.0.1.2"),
]


def told(*given_documents, url="http://a/", namespace="shop", **asked):
    index = index_of(*given_documents)
    return explain(compiled(index).find, index, url, namespace, **asked)


def leaving(address, **conditions):
    return endpoint(address, conditions={"ready": False, **conditions})


@pytest.mark.parametrize(
    ("url", "namespace", "service_name", "port"),
    [
        ("a", "shop", "shop/a", 80),
        ("http://a", "shop", "shop/a", 80),
        ("HTTP://A.Shop.svc.cluster.local.:80/x?y=http://z", "bank", "shop/a", 80),
        ("a.shop/x", "bank", "shop/a", 80),
        ("two:82", "shop", "shop/two", 82),
    ],
)
def test_a_host_is_read_as_the_callers_sidecar_reads_it(url, namespace, service_name, port):
    found = told(*SHOP, url=url, namespace=namespace)
    assert (found.service, found.port, found.failure and found.failure.fault) == (
        service_name,
        port,
        "no_endpoints" if service_name == "shop/two" else None,
    )
    assert found.routes == f"routes/{service_name}:{port}"


@pytest.mark.parametrize(
    ("url", "fault", "status", "message"),
    [
        ("example.com", "no_service", 404, "there is no Service example in namespace com"),
        ("www.example.com/", "egress_refused", 403, "www.example.com is not a Service of the mesh"),
        ("http://10.0.0.1:8080", "egress_refused", 403, "10.0.0.1"),
        ("http://[::1]/", "egress_refused", 403, "::1"),
        ("a:0", "bad_request", 400, "no valid name"),
        ("a:99", "no_port", 404, "Service shop/a has the ports 80"),
        ("two", "no_port", 404, "Service shop/two has the ports 81, 82"),
    ],
)
def test_what_leads_nowhere_says_why(url, fault, status, message):
    found = told(*SHOP, url=url)
    assert (found.failure.fault, found.failure.status, found.fails_percent) == (fault, status, 100.0)
    assert message in found.failure.message
    assert found.failure.advice
    assert (found.backends, found.tried) == ([], [])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"url": "https://a/"}, "allowed: \\[http://\\]HOST"),
        ({"url": ""}, "allowed"),
        ({"url": "/x"}, "allowed"),
        ({"url": "a/x#y"}, "allowed"),
        ({"url": "user@a/"}, "allowed"),
        ({"url": "a/ x"}, "printable ASCII"),
        ({"url": "a/\u00e9"}, "percent-encoded"),
        ({"url": "a/" + "x" * 9000}, "at most 8192"),
        ({"method": "CONNECT"}, "not CONNECT"),
        ({"method": "G T"}, "method"),
        ({"headers": [("x y", "1")]}, "header"),
        ({"headers": [("x", "1\r\ny: 2")]}, "header"),
        ({"headers": [("Host", "b")]}, "the URL names"),
        ({"headers": [("x", "1")] * 200}, "at most 128"),
        ({"namespace": "Shop"}, "namespace"),
        ({"service_account": "../x"}, "serviceAccount"),
    ],
)
def test_what_cannot_be_sent_is_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        told(*SHOP, **asked)


def test_a_service_without_routes_is_explained_down_to_its_endpoints():
    found = told(*SHOP)
    assert (found.origin, found.rule, found.protocol, found.failure, found.fails_percent) == (
        "default",
        "default",
        "grpc",
        None,
        0.0,
    )
    assert [(item.port, item.protocol) for item in found.ports] == [(80, "grpc")]
    assert [(item.match, item.fits, item.reason) for item in found.tried] == [("path under /", True, "")]
    (choice,) = found.backends
    assert (choice.backend, choice.share_percent, choice.protocol) == ("shop/a:80", 100.0, "grpc")
    (target,) = choice.endpoints
    assert (target.address, target.port, target.state, target.considered) == ("10.0.0.1", 8080, "ready", True)
    assert (target.identity, target.zone, target.node) == ("spiffe://cluster.local/ns/shop/sa/buyer", "z1", "n1")


def test_every_match_is_told_in_its_order_with_why_it_did_not_win():
    route = http_route(
        "a",
        rule("a", name="put", matches=[{"method": "PUT", **path("/x/y")}]),
        rule("b", name="canary", matches=[{**path("/x"), "headers": [{"name": "X-Canary", "value": "yes"}]}]),
        rule("a", name="rest"),
    )
    found = told(*SHOP, route, url="a/x/y", headers=[("x-canary", "yes")])
    assert (found.origin, found.rule) == ("producer", "shop/a/canary")
    assert [(item.rule, item.fits, item.reason) for item in found.tried] == [
        ("shop/a/put", False, "the method is GET, not PUT"),
        ("shop/a/canary", True, ""),
        ("shop/a/rest", True, "an earlier match fits"),
    ]
    other = told(*SHOP, route, url="a/x/y", headers=[("x-canary", "no")])
    assert (other.rule, other.tried[1].reason) == (
        "shop/a/rest",
        "header x-canary = yes is asked for, the request has no",
    )


def test_callers_of_a_namespace_with_routes_of_its_own_are_explained_by_these():
    routes = [
        http_route("own", rule("a"), parents=["a"]),
        http_route("c", rule("b"), parents=[parent("a", namespace="shop")], namespace="bank"),
    ]
    given_documents = [*SHOP, service("b", namespace="bank"), *routes]
    found = [told(*given_documents, url="a.shop", namespace=namespace) for namespace in NAMESPACES]
    assert [(item.origin, item.rule) for item in found] == [
        ("producer", "shop/own/0"),
        ("consumer", "bank/c/0"),
        ("producer", "shop/own/0"),
    ]
    assert found[0].routes_version == found[2].routes_version != found[1].routes_version


def test_a_lookup_that_lacks_the_routes_is_told_as_it_is():
    index = index_of(*SHOP)
    find = compiled(index).find
    found = explain(
        lambda name, namespace: None if name.startswith("routes/") else find(name, namespace), index, "a", "shop"
    )
    assert (found.failure.fault, found.origin, found.tried) == ("no_route", "", [])
    assert found.failure.message.endswith("routes/shop/a:80 is missing")


EXTERNAL = service("out", type="ExternalName", externalName="example.com")


@pytest.mark.parametrize(
    ("given_rule", "message"),
    [
        (rule("out"), "Service shop/out is of type ExternalName, which is no backend"),
        (rule({"group": "x.io", "kind": "Bucket", "name": "b"}), "x.io/Bucket b is no backend; allowed: Service"),
        (rule("b", sessionPersistence={"cookie": {}}), "sessionPersistence is not supported"),
        (rule("b", filters=[{"type": "CORS", "cors": {}}]), "filter CORS is not supported at rules"),
    ],
)
def test_what_cannot_be_carried_out_is_told_by_its_own_reason(given_rule, message):
    found = told(*SHOP, EXTERNAL, http_route("a", rule("b", matches=[path("/x")]), given_rule))
    assert found.failure.fault == "backend_unsupported"
    assert found.failure.message.startswith(message)
    assert found.failure.advice == "correct the HTTPRoute's rule shop/a/1"


def test_a_value_that_only_the_crd_of_a_cluster_allows_costs_its_own_rule_alone():
    split = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "1\r\ny: 2"}]}}
    route = http_route("a", rule("b", matches=[path("/x")], filters=[split]), rule("b"))
    index = index_of(*SHOP)
    index.apply(decode(route, is_admitted=True))
    find = compiled(index).find
    assert explain(find, index, "a/x", "shop").failure.fault == "backend_unsupported"
    assert explain(find, index, "a/y", "shop").failure is None


def test_each_backend_has_its_own_reason():
    found = told(*SHOP, EXTERNAL, http_route("a", rule("b", "out", {"name": "b", "port": 9}, "gone")))
    assert [item.failure.message.rpartition(": ")[2] if item.failure else "" for item in found.backends] == [
        "",
        "Service shop/out is of type ExternalName, which is no backend",
        "Service shop/b has no port 9; it has 80",
        "Service shop/gone does not exist",
    ]


def test_a_host_that_the_mesh_does_not_serve_is_told_why():
    udp = service("dns", {"port": 53, "protocol": "UDP"})
    assert told(*SHOP, EXTERNAL, url="out").failure.message.endswith(
        "Service shop/out is of type ExternalName, which the mesh does not serve"
    )
    assert told(*SHOP, udp, url="dns:53").failure.message.endswith("Service shop/dns has no TCP port")


def test_a_request_that_no_match_fits_meets_no_route():
    found = told(*SHOP, http_route("a", rule("a", matches=[path("/x")])), url="a/y")
    assert (found.failure.fault, found.failure.status, found.rule) == ("no_route", 404, "")
    assert found.tried[0].reason == "the path /y is not under /x"


def test_backends_have_their_shares_and_some_of_them_fail():
    refs = [
        {"name": "a", "port": 80, "weight": 1, "filters": [HEADER]},
        {"name": "b", "port": 80, "weight": 2},
        {"name": "gone", "port": 80, "weight": 1},
        {"name": "far", "namespace": "bank", "port": 80, "weight": 0},
    ]
    route = http_route("a", rule(*refs, timeouts={"request": "2s", "backendRequest": "1s"}, retry={"codes": [503]}))
    found = told(*SHOP, service("far", namespace="bank"), route)
    assert [
        (item.backend, item.share_percent, item.effects, item.failure and item.failure.fault) for item in found.backends
    ] == [
        ("shop/a:80", 25.0, ["request header x-seen: 1"], None),
        ("shop/b:80", 50.0, [], None),
        ("shop/gone:80", 25.0, [], "backend_missing"),
        ("bank/far:80", 0.0, [], "ref_not_permitted"),
    ]
    assert (found.failure, found.fails_percent) == (None, 25.0)
    assert (found.request_timeout_s, found.attempt_timeout_s) == (2.0, 1.0)
    assert (found.retry.attempts, found.retry.codes, found.retry.backoff_s) == (1, [503], 0.025)
    permitted = told(*SHOP, service("far", namespace="bank"), route, grant("g", "shop"))
    assert permitted.backends[3].failure.fault == "no_endpoints"


def test_a_request_whose_backends_all_fail_fails():
    found = told(*SHOP, http_route("a", rule({"name": "gone", "port": 80}, {"name": "b", "port": 80, "weight": 0})))
    assert (found.failure.fault, found.fails_percent) == ("backend_missing", 100.0)
    assert told(*SHOP, http_route("a", rule({"name": "a", "port": 80, "weight": 0}))).failure.fault == "backend_missing"


def test_the_endpoints_considered_are_the_ready_ones_else_those_that_leave():
    def states(*endpoints):
        found = told(service("a"), endpoint_slice("a", *endpoints)).backends[0]
        return [(item.state, item.considered, item.reason) for item in found.endpoints], found.failure

    ready, terminating, unready = "10.0.0.1", leaving("10.0.0.2", serving=True, terminating=True), leaving("10.0.0.3")
    assert states(ready, terminating, unready) == (
        [
            ("ready", True, ""),
            ("terminating", False, "others are ready"),
            ("unready", False, "it is not ready"),
        ],
        None,
    )
    assert states(terminating, unready) == (
        [("terminating", True, ""), ("unready", False, "it is not ready")],
        None,
    )
    assert states(unready)[1].fault == "no_endpoints"
    assert states()[1].status == 503


def test_a_redirect_is_the_answer():
    redirect = {"hostname": "new.example.com", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/n"}}
    filters = [{"type": "RequestRedirect", "requestRedirect": {**redirect, "statusCode": 301}}]
    found = told(*SHOP, http_route("a", {"matches": [path("/o")], "filters": filters}), url="a/o/p?q=1")
    assert (found.redirect.status, found.redirect.location) == (301, "http://new.example.com/n/p?q=1")
    assert (found.backends, found.failure, found.fails_percent) == ([], None, 0.0)


def test_the_effects_of_filters_are_those_on_this_request():
    edits = {"set": [{"name": "X-A", "value": "2"}], "add": [{"name": "x-b", "value": "3"}], "remove": ["x-c", "x-d"]}
    answer = {"set": [{"name": "x-r", "value": "1"}], "remove": ["server", "x-r"]}
    rewrite = {"hostname": "new", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/n"}}
    filters = [
        {"type": "URLRewrite", "urlRewrite": rewrite},
        {"type": "RequestHeaderModifier", "requestHeaderModifier": edits},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": answer},
    ]
    route = http_route("a", rule("a", matches=[path("/o")], filters=filters))
    found = told(*SHOP, route, url="a/o/p?q=1", headers=[("x-a", "1"), ("x-b", "1"), ("x-c", "1")])
    assert found.effects == [
        "path: /n/p?q=1",
        "Host: new",
        "request header x-a: 2",
        "request header x-b: 1, 3",
        "request header x-c is removed",
        "response header x-r: 1",
        "response header server is removed",
    ]


def test_a_long_explanation_is_bounded_and_keeps_the_winner():
    rules = [rule("a", matches=[path(f"/{number}-{order}") for order in range(8)]) for number in range(14)]
    endpoints = [f"10.0.{number // 250}.{number % 250}" for number in range(1, MAX_ENDPOINTS + 8)]
    route = http_route("a", *rules, rule("a"))
    found = told(service("a"), endpoint_slice("a", *endpoints), route, url="a/none")
    assert (len(found.tried), found.more_tried) == (MAX_TRIED + 1, 14 * 8 - MAX_TRIED)
    assert (found.tried[-1].rule, found.tried[-1].reason) == (found.rule, "")
    assert (len(found.backends[0].endpoints), found.backends[0].more_endpoints) == (MAX_ENDPOINTS, 7)


def test_an_explanation_is_json_in_camel_case():
    found = msgspec.json.decode(msgspec.json.encode(told(*SHOP, service_account="buyer")))
    assert found["serviceAccount"] == "buyer"
    assert found["backends"][0]["sharePercent"] == 100.0
    assert found["backends"][0]["endpoints"][0]["considered"] is True


@settings(max_examples=60, deadline=None)
@given(
    st.lists(documents, max_size=10),
    st.sampled_from(["a.shop", "b.shop:81", "a.bank", "b.bank:80"]),
    st.sampled_from(["/", "/x", "/x/y", "/z"]),
    st.sampled_from(NAMESPACES),
)
def test_the_rule_that_wins_is_the_one_that_the_callers_sidecar_takes(given_documents, host, where, namespace):
    index = index_of(*BASE, *given_documents)
    compiler = compiled(index)
    found = explain(compiler.find, index, host + where, namespace)
    if found.routes:
        table = RouteTable(compiler.find(found.routes, namespace).resource)
        match = table.match(b"GET", where.encode(), b"", [])
        assert found.rule == (match.rule.name if match is not None else "")
        assert [item.rule for item in found.tried if not item.reason] == ([found.rule] if match is not None else [])
    assert (found.failure is not None) == (found.fails_percent == 100.0)
    assert sum(item.share_percent for item in found.backends) == pytest.approx(100 if found.backends else 0, abs=0.05)
