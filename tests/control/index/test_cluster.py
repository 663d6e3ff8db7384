"""What a cluster has beyond a folder of files: uids, nodes, namespaces."""

import pytest

from control.index.index import Index
from control.index.links import Links
from control.model.decode import decode
from control.model.objects import Key, Namespace, Node, Pod
from tests.control.build import endpoint, endpoint_slice, http_route, pod, rule, service
from tests.control.cluster import cluster_of, endpoint_of, namespace, node, pod_with, read, withheld

EVERYTHING = [
    service("a", 80, 81),
    service("b"),
    service("c"),
    http_route("a", rule("b")),
    endpoint_slice("a", endpoint("10.0.0.1", nodeName="n1"), endpoint("10.0.0.2", nodeName="n2", zone="z2")),
    endpoint_slice("b", endpoint("10.0.0.3", nodeName="n1", zone="z1")),
    endpoint_slice("c", endpoint("10.0.0.4", nodeName="n1"), name="c-1"),
]


def test_a_node_touches_only_endpoints_that_have_their_zone_from_it():
    index = cluster_of(*EVERYTHING)
    touched = {"endpoints/shop/a:80", "endpoints/shop/a:81", "endpoints/shop/c:80"}
    assert index.apply(read(node("n1", "z1"))) == touched
    assert index.apply(read(node("n1", "z1", other="label"))) == set()
    assert index.apply(read(node("n1", "z9"))) == touched
    assert index.apply(read(node("n2", "z2"))) == set()
    assert index.apply(read(node("n3", "z1"))) == set()
    assert index.delete(Node, Key("", "n1")) == touched
    assert index.delete(Node, Key("", "n1")) == set()


def test_a_node_that_says_no_zone_touches_nothing():
    index = cluster_of(*EVERYTHING)
    assert index.apply(read(node("n1"))) == set()
    assert index.delete(Node, Key("", "n1")) == set()


def test_an_endpoint_that_moves_to_another_node_is_no_more_touched_by_the_old_one():
    index = cluster_of(service("a"), endpoint_slice("a", endpoint("10.0.0.1", nodeName="n1")))
    index.apply(read(endpoint_slice("a", endpoint("10.0.0.1", nodeName="n2"))))
    assert index.apply(read(node("n1", "z1"))) == set()
    assert index.apply(read(node("n2", "z2"))) == {"endpoints/shop/a:80"}
    assert (index.zone_of("n2"), index.zone_of("n3")) == ("z2", "")


def test_a_namespace_touches_nothing_and_is_missed_only_where_namespaces_are_known():
    index = cluster_of(*EVERYTHING)
    assert not index.lacks_namespace("shop")
    assert index.apply(read(namespace("bank"))) == set()
    assert (index.lacks_namespace("shop"), index.lacks_namespace("bank")) == (True, False)
    assert index.delete(Namespace, Key("", "bank")) == set()
    assert not index.lacks_namespace("shop")


@pytest.mark.parametrize("kind", [Node, Namespace])
def test_nodes_and_namespaces_change_no_routes_status(kind):
    assert cluster_of(*EVERYTHING, node("n1", "z1")).routes_touched(kind, Key("", "n1")) == set()


def test_a_pod_touches_the_endpoints_that_are_it_and_no_other_of_its_name():
    index = cluster_of(
        service("a"),
        service("b"),
        service("c"),
        endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x")),
        endpoint_slice("b", endpoint_of("u2", "10.0.0.1", "x")),
        endpoint_slice("c", endpoint("10.0.0.1", "x")),
    )
    assert index.apply(read(pod_with("u1", "x"))) == {"workload/shop/x", "endpoints/shop/a:80", "endpoints/shop/c:80"}
    replaced = {"workload/shop/x", *(f"endpoints/shop/{name}:80" for name in "abc")}
    assert index.apply(read(pod_with("u2", "x"))) == replaced
    assert index.delete(Pod, Key("shop", "x")) == {"workload/shop/x", "endpoints/shop/b:80", "endpoints/shop/c:80"}


def test_the_slices_of_a_pod_are_those_that_mean_it_by_its_uid_or_by_name_alone():
    index = cluster_of(
        endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x")),
        endpoint_slice("b", endpoint_of("u2", "10.0.0.1", "x")),
        endpoint_slice("c", endpoint("10.0.0.1", "x")),
        endpoint_slice("d", endpoint_of("u1", "10.0.0.1", "y")),
    )
    found = index.slices_with(read(pod_with("u1", "x")))
    assert [slice_.key.name for slice_ in found] == ["a-1", "c-1"]


def test_a_slice_that_says_that_a_pod_is_another_touches_its_workload():
    index = cluster_of(service("a"), endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x")), pod_with("u1", "x"))
    names = index.apply(read(endpoint_slice("a", endpoint_of("u2", "10.0.0.1", "x"))))
    assert names == {"endpoints/shop/a:80", "workload/shop/x"}


@pytest.mark.parametrize("name", ["No Pod/..", "%2f", "x" * 300])
def test_what_cannot_be_the_name_of_a_pod_touches_no_workload(name):
    target = {"kind": "Pod", "name": name, "namespace": name}  # an API server takes any
    index = cluster_of(service("a"))
    item = read({**endpoint_slice("a"), "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": target}]})
    assert index.apply(item) == {"endpoints/shop/a:80"}
    assert index.apply(read(service("a", 81))) >= {"service/shop/a"}
    assert not [found for found in index.delete(type(item), item.key) if found.startswith("workload/")]


def test_what_is_withheld_is_told_by_service_address_and_pod():
    index = cluster_of(
        service("a"),
        endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x"), endpoint_of("u2", "10.0.0.2", "y"), "10.0.0.3"),
        endpoint_slice("a", endpoint("10.0.0.4", "z"), name="a-2"),
        pod_with("u3", "y"),
    )
    pods = {Key("shop", "x"): "u1", Key("shop", "y"): "u2"}
    places = {"10.0.0.1": Key("shop", "x"), "10.0.0.2": Key("shop", "y")}
    found = withheld(index)
    assert found == [(Key("shop", "a"), address, key, pods[key]) for address, key in places.items()]
    index.apply(read(pod_with("u1", "x")))
    index.apply(read(pod_with("u2", "y")))
    assert withheld(index) == []
    index.delete(Pod, Key("shop", "x"))
    assert [item.address for item in withheld(index)] == ["10.0.0.1"]


def test_slices_of_nobody_withhold_nothing():
    orphan = endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x"))
    del orphan["metadata"]["labels"]
    assert withheld(cluster_of(orphan)) == []


def test_objects_that_were_stored_elsewhere_name_pods_by_name_alone():
    index = Index(has_uids=False)
    for item in (service("a"), endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x")), pod("x")):
        index.apply(decode(item))
    assert withheld(index) == []
    (slice_,) = index.slices.values()
    assert index.pod_of(slice_, slice_.endpoints[0]) == ("shop", "x", "")
    assert index.slices_with(index.pods[Key("shop", "x")]) == [slice_]
    assert index.delete(Pod, Key("shop", "x")) == {"workload/shop/x", "endpoints/shop/a:80"}


def test_an_index_that_lost_a_whole_cluster_holds_nothing():
    documents = [
        *EVERYTHING, node("n1", "z1"), namespace("shop"), pod_with("u1", "x"),
        endpoint_slice("b", endpoint_of("u1", "10.0.0.1", "x"), name="b-2"),
    ]  # fmt: skip
    index = cluster_of(*documents)
    for item in map(read, documents):
        index.delete(type(item), item.key)
    for name in set(index.__slots__) - {"_has_uids"}:
        value = getattr(index, name)
        assert not (value._targets or value._sources if isinstance(value, Links) else value), name
