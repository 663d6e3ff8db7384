import pytest

from meshproxy.wire.resources import Endpoint, Workload, WorkloadPort
from tests.control.build import compiled, endpoint, endpoint_slice, index_of, pod, resources_of, service


def endpoints_of(*documents, name="a:80"):
    return resources_of(*documents)[f"endpoints/shop/{name}"].endpoints


def test_a_service_without_slices_has_no_endpoints():
    assert endpoints_of(service("a", selector={"app": "a"}), pod("a-1", app="a")) == []


def test_endpoints_of_all_slices_come_in_the_order_of_numbers():
    found = endpoints_of(
        service("a"),
        endpoint_slice("a", "10.0.0.10", "10.0.0.9", name="a-1"),
        endpoint_slice("a", "9.0.0.1", name="a-2"),
        endpoint_slice("a", "fd00:0::1", name="a-3", addressType="IPv6"),
        endpoint_slice("other", "10.0.0.1", name="b-1"),
        endpoint_slice("a", "10.0.0.2", name="a-1", namespace="bank"),
    )
    assert [item.address for item in found] == ["9.0.0.1", "10.0.0.9", "10.0.0.10", "fd00::1"]
    assert {item.port for item in found} == {8080}


def test_ports_are_found_by_their_names():
    slices = endpoint_slice("a", "10.0.0.1", ports=[{"name": "p80", "port": 8080}, {"name": "p81", "port": 8081}])
    resources = resources_of(service("a", 80, 81, 82), slices)
    found = [[item.port for item in resources[f"endpoints/shop/a:{port}"].endpoints] for port in (80, 81, 82)]
    assert found == [[8080], [8081], []]


@pytest.mark.parametrize("port", [{"port": 8080, "protocol": "UDP"}, {}, {"name": "other", "port": 8080}])
def test_a_slice_port_that_is_not_the_services_serves_nothing(port):
    assert endpoints_of(service("a"), endpoint_slice("a", "10.0.0.1", ports=[port])) == []


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ({}, (True, True, False)),
        ({"ready": None}, (True, True, False)),
        ({"ready": True}, (True, True, False)),
        ({"ready": False}, (False, False, False)),
        ({"ready": False, "serving": True, "terminating": True}, (False, True, True)),
        ({"ready": False, "serving": False, "terminating": True}, (False, False, True)),
    ],
)
def test_conditions_that_are_not_set_have_the_apis_meaning(conditions, state):
    (found,) = endpoints_of(service("a"), endpoint_slice("a", endpoint("10.0.0.1", conditions=conditions)))
    assert (found.ready, found.serving, found.terminating) == state


def test_an_address_in_several_slices_counts_once_with_its_best_state():
    leaving = endpoint("10.0.0.1", conditions={"ready": False, "serving": True, "terminating": True})
    for names in (("a-1", "a-2"), ("a-2", "a-1")):
        slices = [endpoint_slice("a", leaving, name=names[0]), endpoint_slice("a", "10.0.0.1", name=names[1])]
        (found,) = endpoints_of(service("a"), *slices)
        assert (found.ready, found.terminating) == (True, False)


def test_a_pod_with_two_families_is_one_endpoint_of_the_services_first_family():
    slices = [
        endpoint_slice("a", endpoint("10.0.0.1", "a-1"), name="a-4"),
        endpoint_slice("a", endpoint("fd00::1", "a-1"), name="a-6", addressType="IPv6"),
    ]
    assert [item.address for item in endpoints_of(service("a"), *slices)] == ["10.0.0.1"]
    six = service("a", ipFamilies=["IPv6", "IPv4"])
    assert [item.address for item in endpoints_of(six, *slices)] == ["fd00::1"]
    assert [item.address for item in endpoints_of(six, slices[0])] == ["10.0.0.1"]


def test_an_endpoint_is_what_its_pod_is():
    item = endpoint("127.0.0.9", "a-1", zone="z1", nodeName="n1", hints={"forZones": [{"name": "z2"}, {"name": "z1"}]})
    meshed = pod("a-1", "buyer", version="v1", **{"pod-template-hash": "x"})
    (found,) = endpoints_of(service("a", {"port": 80, "appProtocol": "grpc"}), endpoint_slice("a", item), meshed)
    assert found == Endpoint(
        address="127.0.0.9",
        port=8080,
        protocol="grpc",
        identity="spiffe://cluster.local/ns/shop/sa/buyer",
        meshed=True,
        zone="z1",
        hints=["z1", "z2"],
        node="n1",
        labels={"version": "v1"},
    )


@pytest.mark.parametrize(
    ("reference", "pods"),
    [
        ({}, [pod("a-1")]),
        ({"targetRef": {"kind": "Pod", "name": "a-1"}}, []),
        ({"targetRef": {"kind": "Node", "name": "a-1"}}, [pod("a-1")]),
        ({"targetRef": {"kind": "Pod", "name": "a-1"}}, [pod("a-1", meshed=False)]),
        ({"targetRef": {"kind": "Pod", "name": "a-1", "namespace": "bank"}}, [pod("a-1")]),
    ],
)
def test_without_a_meshed_pod_behind_it_an_endpoint_is_plain(reference, pods):
    (found,) = endpoints_of(service("a"), endpoint_slice("a", endpoint("10.0.0.1", **reference)), *pods)
    assert (found.meshed, found.identity) == (False, "")


def test_the_trust_domain_is_the_one_given():
    index = index_of(service("a"), endpoint_slice("a", endpoint("10.0.0.1", "a-1")), pod("a-1"))
    (found,) = compiled(index, "example.org").entries["endpoints/shop/a:80"].resource.endpoints
    assert found.identity == "spiffe://example.org/ns/shop/sa/default"


def test_a_workload_lists_the_ports_that_services_send_to():
    slices = [
        endpoint_slice(
            "a", endpoint("10.0.0.1", "x-1"), ports=[{"name": "p80", "port": 8080}, {"name": "p81", "port": 9}]
        ),
        endpoint_slice("b", endpoint("10.0.0.1", "x-1")),
        endpoint_slice("gone", endpoint("10.0.0.1", "x-1"), ports=[{"port": 7}]),
    ]
    ports = [{"port": 80, "name": "p80"}, {"port": 81, "name": "p81", "appProtocol": "grpc"}]
    resources = resources_of(service("a", *ports), service("b"), *slices, pod("x-1", "x"), pod("y-1"))
    assert resources["workload/shop/x-1"] == Workload(
        service_account="x",
        ports=[
            WorkloadPort(port=9, protocol="grpc", services=["shop/a:81"]),
            WorkloadPort(port=8080, services=["shop/a:80", "shop/b:80"]),
        ],
    )
    assert resources["workload/shop/y-1"] == Workload()
