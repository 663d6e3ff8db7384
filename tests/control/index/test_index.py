import pytest

from control.index.links import Links
from control.model.decode import decode
from control.model.objects import Key, Service
from control.model.routes import HTTPRoute
from tests.control.build import endpoint, endpoint_slice, grant, http_route, index_of, parent, pod, rule, service

OTHER = [
    service("other"),
    endpoint_slice("other", endpoint("10.0.9.1", "other-a")),
    pod("other-a"),
    http_route("other", rule("other")),
    service("far", namespace="bank"),
]
PODS = [pod("x"), pod("y"), pod("z")]


def touched(before, item):
    """What one more object touches, and that taking it a second time touches nothing."""
    index = index_of(*OTHER, *before)
    names = index.apply(decode(item))
    assert index.apply(decode(item)) == set()
    deleted = index.delete(type(decode(item)), decode(item).key)
    assert index.delete(type(decode(item)), decode(item).key) == set()
    assert deleted == names
    return names


A80 = {"routes/shop/a:80", "backend/shop/a:80", "endpoints/shop/a:80"}


def test_a_service_touches_its_own_resources():
    assert touched([], service("a")) == {"service/shop/a", *A80}


def test_a_service_touches_routes_that_send_to_it_and_pods_behind_it():
    route = http_route("b", rule("a"))
    before = [service("b"), route, endpoint_slice("a", endpoint("10.0.0.1", "a-1")), pod("a-1")]
    assert touched(before, service("a")) == {"service/shop/a", *A80, "routes/shop/b:80", "workload/shop/a-1"}


def test_a_service_that_changes_its_ports_touches_old_and_new():
    index = index_of(*OTHER, service("a", 80))
    names = index.apply(decode(service("a", 81)))
    assert names == {"service/shop/a", *A80, *(name.replace(":80", ":81") for name in A80)}


def test_a_service_of_type_external_name_has_no_resources():
    assert touched([], service("a", type="ExternalName", externalName="example.com")) == set()


def test_a_slice_touches_the_endpoints_of_all_ports_and_its_pods():
    item = endpoint_slice("a", endpoint("10.0.0.1", "a-1"), endpoint("10.0.0.2"))
    endpoints = {"endpoints/shop/a:80", "endpoints/shop/a:81"}
    assert touched([service("a", 80, 81), pod("a-1")], item) == {*endpoints, "workload/shop/a-1"}
    assert touched([service("a", 80, 81)], item) == endpoints  # the Pod brings its workload when it comes


def test_a_slice_that_changes_hands_touches_both_services():
    index = index_of(*OTHER, service("a"), service("b"), endpoint_slice("a", "10.0.0.1", name="x"))
    names = index.apply(decode(endpoint_slice("b", "10.0.0.1", name="x")))
    assert names == {"endpoints/shop/a:80", "endpoints/shop/b:80"}


def test_a_slice_whose_endpoints_change_their_state_touches_no_workload():
    index = index_of(service("a"), endpoint_slice("a", endpoint("10.0.0.1", "x"), endpoint("10.0.0.2", "y")))
    unready = endpoint("10.0.0.1", "x", conditions={"ready": False})
    names = index.apply(decode(endpoint_slice("a", unready, endpoint("10.0.0.2", "y"))))
    assert names == {"endpoints/shop/a:80"}


def test_a_slice_touches_the_workloads_that_come_and_go():
    index = index_of(*PODS, service("a"), endpoint_slice("a", endpoint("10.0.0.1", "x"), endpoint("10.0.0.2", "y")))
    names = index.apply(decode(endpoint_slice("a", endpoint("10.0.0.2", "y"), endpoint("10.0.0.3", "z"))))
    assert names == {"endpoints/shop/a:80", "workload/shop/x", "workload/shop/z"}


def test_a_slice_that_changes_its_ports_touches_the_workloads_of_all_its_pods():
    index = index_of(*PODS, service("a"), endpoint_slice("a", endpoint("10.0.0.1", "x"), endpoint("10.0.0.2", "y")))
    names = index.apply(
        decode(endpoint_slice("a", endpoint("10.0.0.2", "y"), endpoint("10.0.0.3", "z"), ports=[{"port": 9}]))
    )
    assert names == {"endpoints/shop/a:80", "workload/shop/x", "workload/shop/y", "workload/shop/z"}


def test_a_slice_of_nobody_touches_only_its_pods():
    assert touched([], endpoint_slice("gone", "10.0.0.1")) == set()
    item = endpoint_slice("a", endpoint("10.0.0.1", "a-1"))
    del item["metadata"]["labels"]
    assert touched([service("a"), pod("a-1")], item) == {"workload/shop/a-1"}


def test_a_pod_touches_its_workload_and_the_endpoints_that_are_it():
    before = [service("a"), endpoint_slice("a", endpoint("10.0.0.1", "a-1"))]
    assert touched(before, pod("a-1")) == {"workload/shop/a-1", "endpoints/shop/a:80"}


def test_a_route_touches_all_ports_of_its_parents_only():
    before = [service("a", 80, 81), service("b"), service("c")]
    route = http_route("r", rule("c"), parents=["a", "b", "gone", {"name": "gateway"}])
    assert touched(before, route) == {"routes/shop/a:80", "routes/shop/a:81", "routes/shop/b:80"}


def test_a_route_that_moves_touches_the_old_parent_too():
    index = index_of(*OTHER, service("a"), service("b"), http_route("r", rule("a"), parents=["a"]))
    names = index.apply(decode(http_route("r", rule("a"), parents=["b"])))
    assert names == {"routes/shop/a:80", "routes/shop/b:80"}


def test_a_grant_touches_the_routes_that_need_one():
    before = [service("a"), http_route("a", rule({"name": "far", "namespace": "bank", "port": 80}))]
    assert touched(before, grant("g", "shop")) == {"routes/shop/a:80"}
    assert touched(before, grant("g", "shop", namespace="elsewhere")) == set()


def test_a_consumer_route_touches_the_ports_of_its_parent():
    route = http_route("r", rule("a"), parents=[parent("a", namespace="bank")])
    assert touched([service("a", namespace="bank"), service("a")], route) == {"routes/bank/a:80"}


@pytest.mark.parametrize(
    ("item", "routes"),
    [
        (service("a"), {"child", "sender"}),
        (service("other"), {"other"}),
        (service("unknown"), set()),
        (http_route("child", rule("c"), parents=["a"]), {"child"}),
        (grant("g", "shop"), {"stranger"}),
        (grant("g", "shop", namespace="park"), set()),
        (pod("other-a"), set()),
        (endpoint_slice("a", "10.0.0.1"), set()),
    ],
)
def test_the_routes_whose_status_may_change_are_those_that_refer_to_the_object(item, routes):
    away = rule({"name": "far", "namespace": "bank", "port": 80})
    before = [
        http_route("child", rule("b"), parents=["a"]),
        http_route("sender", rule("a"), parents=["b"]),
        http_route("stranger", away, parents=["b"]),
    ]
    index = index_of(*OTHER, *before)
    known = decode(item)
    expected = {Key("shop", name) for name in routes}
    index.apply(known)
    assert index.routes_touched(type(known), known.key) == expected
    index.delete(type(known), known.key)
    assert index.routes_touched(type(known), known.key) == (set() if isinstance(known, HTTPRoute) else expected)


@pytest.mark.parametrize(
    ("item", "granted"),
    [
        (grant("g", "shop"), True),
        (grant("g", "shop", "far"), True),
        (grant("g", "shop", "near"), False),
        (grant("g", "park"), False),
        (grant("g", "shop", namespace="shop"), False),
    ],
)
def test_a_grant_permits_what_it_names(item, granted):
    index = index_of(http_route("a", rule("a")), item)
    assert index.is_granted(index.routes[Key("shop", "a")], Key("bank", "far")) is granted


def test_a_grant_for_another_kind_permits_nothing():
    item = grant("g", "shop")
    item["spec"]["from"][0]["kind"] = "GRPCRoute"
    index = index_of(http_route("a", rule("a")), item)
    assert not index.is_granted(index.routes[Key("shop", "a")], Key("bank", "far"))


def test_the_services_of_a_namespace_are_told_but_those_outside_of_the_mesh():
    outside = service("c", type="ExternalName", externalName="example.com")
    index = index_of(service("b"), service("a"), outside, service("a", namespace="bank"))
    assert index.services_of("shop") == ["service/shop/a", "service/shop/b"]
    index.apply(decode(service("a", type="ExternalName", externalName="example.com")))
    index.delete(Service, Key("bank", "a"))
    assert [index.services_of(namespace) for namespace in ("shop", "bank")] == [["service/shop/b"], []]


def test_what_does_not_exist_can_be_deleted():
    assert index_of().delete(Service, Key("shop", "a")) == set()


def test_an_index_that_lost_everything_holds_nothing():
    documents = [*OTHER, grant("g", "shop"), http_route("r", rule("a"), parents=[parent("a", namespace="bank")])]
    index = index_of(*documents)
    for item in map(decode, documents):
        index.delete(type(item), item.key)
    assert index.names() == []
    for name in set(index.__slots__) - {"_has_uids"}:
        value = getattr(index, name)
        assert not (value._targets or value._sources if isinstance(value, Links) else value), name
