"""The types alone, as what a cluster says is read with them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.model.decode import KINDS, decode, type_of
from control.model.kinds import KINDS as KEPT
from control.model.kinds import NAMESPACE, NODE
from control.model.objects import EndpointSlice, Key, Namespace, Node, Service
from tests.control import objects
from tests.control.build import endpoint_slice, service
from tests.control.cluster import endpoint_of, namespace, node, pod_with, read


@given(st.one_of(objects.services(), objects.slices(), objects.pods(), objects.routes(), objects.grants))
def test_an_object_is_the_same_after_it_was_written_and_read_again(document):
    try:
        item = decode(document)
    except ValueError:
        return
    assert msgspec.json.decode(msgspec.json.encode(item), type=type(item)) == item


def test_what_is_not_set_is_not_written():
    assert msgspec.json.decode(msgspec.json.encode(read(service("a")))) == {
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"ports": [{"port": 80}]},
    }


def test_a_pod_and_who_refers_to_it_keep_its_uid():
    assert read(pod_with("u1", "x")).metadata.uid == "u1"
    slice_ = read(endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x")))
    assert slice_.pod_of(slice_.endpoints[0]) == ("shop", "x", "u1")


def test_of_a_node_only_its_place_is_kept():
    item = read(node("n1", "z1", **{"kubernetes.io/arch": "amd64"}))
    assert (item.key, item.zone) == (Key("", "n1"), "z1")
    assert item == read(node("n1", "z1", **{"kubernetes.io/arch": "arm64", "beta.example.com/rack": "7"}))
    assert read(node("n1")).zone == ""
    assert b"amd64" not in msgspec.json.encode(item)


def test_of_a_namespace_only_that_it_exists_is_kept():
    item = read(namespace("shop", labels={"team": "x"}, annotations={"y": "z"}))
    assert item == read(namespace("shop"))
    assert item.key == Key("", "shop")


def test_nodes_and_namespaces_are_read_from_a_cluster_and_taken_from_nobody_else():
    assert [type_of(kind.name) for kind in (NODE, NAMESPACE)] == [Node, Namespace]
    assert {kind.name for kind in KEPT} == set(KINDS)
    assert not {"Node", "Namespace"} & set(KINDS)
    for document in (node("n1", "z1"), namespace("shop")):
        with pytest.raises(ValueError, match="is not known"):
            decode(document)


@pytest.mark.parametrize(
    ("kind", "body", "empty"),
    [
        (EndpointSlice, {"metadata": {"name": "a"}, "addressType": "IPv4"}, ("endpoints", "ports")),
        (Service, {"metadata": {"name": "a"}, "spec": {"type": "ExternalName"}}, ()),
        (Service, {"metadata": {"name": "a"}, "spec": {}}, ()),
    ],
)
def test_what_a_cluster_leaves_out_is_empty(kind, body, empty):
    item = msgspec.convert(body, kind)
    assert [getattr(item, name) for name in empty] == [[] for _ in empty]
    assert item.metadata.namespace == ""


def test_an_endpoint_without_an_address_is_refused():
    body = {"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": [{"addresses": []}]}
    with pytest.raises(msgspec.ValidationError, match=r"length >= 1"):
        msgspec.convert(body, EndpointSlice)
