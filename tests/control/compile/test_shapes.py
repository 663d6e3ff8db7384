"""Services, slices and Pods in the shapes that a cluster gives them."""

import json
from pathlib import Path

import pytest

from control.model.decode import decode
from control.model.objects import Key
from meshproxy.wire.resources import Service, WorkloadPort
from tests.control.build import compiled, endpoint, endpoint_slice, http_route, parent, pod, rule, service
from tests.control.cluster import cluster_of, endpoint_of, node, pod_with, read, withheld

RECORDINGS = Path(__file__).parents[4] / "shared" / "kubernetes" / "recordings"


def resources(*documents):
    return {name: entry.resource for name, entry in compiled(cluster_of(*documents)).entries.items()}


def endpoints_of(*documents, name="a:80"):
    return resources(*documents)[f"endpoints/shop/{name}"].endpoints


def places(endpoints):
    return [(item.address, item.port) for item in endpoints]


def identity(account):
    return f"spiffe://cluster.local/ns/shop/sa/{account}"


def test_a_named_port_may_have_another_number_in_each_pod():
    documents = [
        service("a", {"port": 80, "name": "http", "targetPort": "web"}),
        endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x"), ports=[{"name": "http", "port": 8080}], name="a-1"),
        endpoint_slice("a", endpoint_of("u2", "10.0.0.2", "y"), ports=[{"name": "http", "port": 9090}], name="a-2"),
        pod_with("u1", "x"),
        pod_with("u2", "y"),
    ]
    found = resources(*documents)
    assert places(found["endpoints/shop/a:80"].endpoints) == [("10.0.0.1", 8080), ("10.0.0.2", 9090)]
    assert found["workload/shop/x"].ports == [WorkloadPort(port=8080, services=["shop/a:80"])]
    assert found["workload/shop/y"].ports == [WorkloadPort(port=9090, services=["shop/a:80"])]


def test_pods_on_a_nodes_address_are_told_apart_by_their_ports():
    slices = [
        endpoint_slice("a", endpoint_of("u1", "192.168.0.1", "x"), ports=[{"port": 8080}], name="a-1"),
        endpoint_slice("a", endpoint_of("u2", "192.168.0.1", "y"), ports=[{"port": 9090}], name="a-2"),
    ]
    found = endpoints_of(service("a"), *slices, pod_with("u1", "x", "one"), pod_with("u2", "y", "two"))
    assert [(item.port, item.identity) for item in found] == [(8080, identity("one")), (9090, identity("two"))]


def test_a_pod_on_a_nodes_address_hands_over_to_its_successor():
    leaving = {"ready": False, "serving": True, "terminating": True}
    items = [
        endpoint_of("u1", "192.168.0.1", "x", conditions=leaving),
        endpoint_of("u2", "192.168.0.1", "y", conditions={"ready": True}),
    ]
    pods = [pod_with("u1", "x", "one"), pod_with("u2", "y", "two")]
    for order in (items, items[::-1]):
        (found,) = endpoints_of(service("a"), endpoint_slice("a", *order), *pods)
        assert (found.ready, found.identity) == (True, identity("two"))


def test_a_slice_made_of_endpoints_names_pods_by_name_or_not_at_all():
    mirrored = endpoint_slice("a", endpoint("10.0.0.1"), endpoint("10.0.0.2", "x"))
    mirrored["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = (
        "endpointslicemirroring-controller.k8s.io"
    )
    found = endpoints_of(service("a"), mirrored, pod_with("u1", "x", "one"))
    assert [item.identity for item in found] == ["", identity("one")]


def test_a_slice_without_endpoints_and_ports_is_empty():
    document = endpoint_slice("a")
    document.update(endpoints=None, ports=None)
    assert endpoints_of(service("a"), document) == []
    assert endpoints_of(service("a"), document, endpoint_slice("a", "10.0.0.1", name="a-2")) != []


def test_of_two_families_the_services_first_one_is_taken_for_each_pod_that_has_it():
    four = endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x"), endpoint_of("u2", "10.0.0.2", "y"), name="a-4")
    six = endpoint_slice(
        "a", endpoint_of("u1", "fd00::1", "x"), endpoint_of("u3", "fd00::2", "y"), name="a-6", addressType="IPv6"
    )
    pods = [pod_with("u1", "x"), pod_with("u3", "y")]
    dual = service("a", ipFamilies=["IPv4", "IPv6"])
    # Of y only the slice of the second family is up to date: the other one's endpoint is another Pod.
    assert [item.address for item in endpoints_of(dual, four, six, *pods)] == ["10.0.0.1", "fd00::2"]


def test_a_headless_service_without_ports_is_known_and_has_nothing():
    document = service("a", clusterIP="None")
    document["spec"]["ports"] = None
    found = resources(document, endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x"), ports=()), pod_with("u1", "x"))
    assert found.keys() == {"service/shop/a", "workload/shop/x"}
    assert found["service/shop/a"] == Service()


def test_a_headless_service_is_as_any_other():
    documents = [service("a", clusterIP="None"), endpoint_slice("a", "10.0.0.1"), http_route("a", rule("a"))]
    found = resources(*documents)
    assert places(found["endpoints/shop/a:80"].endpoints) == [("10.0.0.1", 8080)]
    assert [item.name for item in found["routes/shop/a:80"].rules] == ["shop/a/0"]


def test_a_service_outside_of_the_cluster_is_no_backend():
    outside = service("legacy", type="ExternalName", externalName="legacy.example.com")
    outside["spec"]["ports"] = None
    found = resources(service("a"), outside, http_route("a", rule("legacy")))
    assert [backend.fault for backend in found["routes/shop/a:80"].rules[0].backends] == ["backend_unsupported"]
    assert not [name for name in found if "legacy" in name]


def test_a_consumers_route_is_for_callers_of_its_namespace_alone():
    own = http_route("mine", rule("a"), parents=[parent("a", namespace="shop")], namespace="park")
    documents = [service("a"), service("a", namespace="park"), endpoint_slice("a", "10.0.0.1"), own]
    compiler = compiled(cluster_of(*documents))
    rules = {
        namespace: [item.name for item in compiler.find("routes/shop/a:80", namespace).resource.rules]
        for namespace in ("shop", "park", "bank")
    }
    assert rules == {"shop": ["default"], "park": ["park/mine/0"], "bank": ["default"]}


@pytest.mark.parametrize(
    ("fields", "nodes", "zone"),
    [
        ({"nodeName": "n1"}, [node("n1", "z1")], "z1"),
        ({"nodeName": "n1", "zone": "own"}, [node("n1", "z1")], "own"),
        ({"nodeName": "n1"}, [node("n2", "z2")], ""),
        ({"nodeName": "n1"}, [node("n1")], ""),
        ({}, [node("n1", "z1")], ""),
        ({"nodeName": None, "zone": None}, [node("n1", "z1")], ""),
    ],
)
def test_an_endpoint_without_a_zone_has_that_of_its_node(fields, nodes, zone):
    (found,) = endpoints_of(service("a"), endpoint_slice("a", endpoint("10.0.0.1", **fields)), *nodes)
    assert found.zone == zone


def test_hints_come_along_and_none_is_none():
    hinted = endpoint("10.0.0.1", hints={"forZones": [{"name": "z2"}, {"name": "z1"}]}, zone="z1")
    unset = endpoint("10.0.0.2", hints={"forZones": None}, zone="z1")
    found = endpoints_of(service("a"), endpoint_slice("a", hinted, unset))
    assert [(item.zone, item.hints) for item in found] == [("z1", ["z1", "z2"]), ("z1", [])]


def test_replicas_have_their_own_places_and_share_the_rest():
    documents = [service("a"), *(pod_with(f"u{i}", f"x{i}", "one", version="v1") for i in (1, 2))]
    slice_ = endpoint_slice("a", *(endpoint_of(f"u{i}", f"10.0.0.{i}", f"x{i}") for i in (1, 2)))
    one, other = endpoints_of(*documents, slice_)
    assert one.labels == {"version": "v1"}
    assert one.labels is other.labels
    assert one.identity is other.identity
    found = resources(*documents, slice_)
    assert found["workload/shop/x1"] is found["workload/shop/x2"]


def test_a_sidecar_whose_pod_is_not_labelled_is_answered_too():
    found = resources(service("a"), endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x")), {
        **pod("x", "one", meshed=False), "metadata": {"name": "x", "namespace": "shop", "uid": "u1"}
    })  # fmt: skip
    assert found["workload/shop/x"].service_account == "one"
    assert [(item.meshed, item.identity) for item in found["endpoints/shop/a:80"].endpoints] == [(False, "")]


def items_of(name):
    body = json.loads((RECORDINGS / "lists" / f"{name}.json").read_text())["body"]
    for item in body["items"]:
        # Lists of built-in kinds do not repeat on each item what it is.
        yield {"apiVersion": body["apiVersion"], "kind": body["kind"].removesuffix("List"), **item}


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not beside the checkout")
class TestARealCluster:
    def documents(self, *names):
        return [item for name in names for item in items_of(name)]

    def test_its_lists_compile(self):
        core = self.documents("services", "endpointslices", "pods-shop", "nodes", "namespaces")
        index = cluster_of(*core)
        for route in self.documents("httproutes"):
            index.apply(decode(route))
        entries = compiled(index).entries
        assert withheld(index) == []
        assert entries["endpoints/shop/empty:80"].resource.endpoints == []
        checkout = entries["endpoints/shop/checkout:9090"].resource.endpoints
        assert [item.address for item in checkout] == ["10.244.0.4", "10.244.0.15"]
        assert {item.protocol for item in checkout} == {"http2"}
        assert not [name for name in entries if "/legacy" in name]
        payment = entries["endpoints/shop/payment:80"].resource.endpoints
        assert {item.zone: item.hints for item in payment} == {"zone-a": ["zone-a"], "zone-b": ["zone-b"]}
        assert index.lacks_namespace("nowhere")
        assert not index.lacks_namespace("shop")

    def test_without_their_zones_endpoints_are_where_their_nodes_are(self):
        documents = self.documents("services", "endpointslices", "pods-shop", "nodes")
        whole = compiled(cluster_of(*documents)).snapshot()
        for document in documents:
            for item in document.get("endpoints") or ():
                del item["zone"]
        assert compiled(cluster_of(*documents)).snapshot() == whole

    def test_without_its_pods_no_endpoint_is_given_out(self):
        index = cluster_of(*self.documents("services", "endpointslices"))
        entries = compiled(index).entries
        assert not any(entry.resource.endpoints for name, entry in entries.items() if name.startswith("endpoints/"))
        assert Key("shop", "payment") in {item.service for item in withheld(index)}
        for document in self.documents("pods-shop"):
            index.apply(read(document))
        assert withheld(index) == []

    def test_of_nodes_and_namespaces_metadata_is_enough(self):
        for name in ("nodes", "namespaces"):
            for document in self.documents(name):
                partial = {"kind": document["kind"], "metadata": document["metadata"]}
                assert read(partial) == read(document)
