import pytest

from control.kube.resources import WATCHED
from control.model.objects import Namespace, Node, Service
from control.model.routes import ReferenceGrant
from tests.control.kube.said import BY_NAME


def test_every_kind_that_is_used_is_watched_once():
    names = [watched.name for watched in WATCHED]
    assert sorted(names) == sorted(set(names))
    assert set(names) == {"Service", "EndpointSlice", "Pod", "Node", "Namespace", "HTTPRoute", "ReferenceGrant"}


@pytest.mark.parametrize(
    ("name", "version", "path"),
    [
        ("Service", "v1", "/api/v1/services"),
        ("Node", "v1", "/api/v1/nodes"),
        ("EndpointSlice", "v1", "/apis/discovery.k8s.io/v1/endpointslices"),
        ("ReferenceGrant", "v1beta1", "/apis/gateway.networking.k8s.io/v1beta1/referencegrants"),
    ],
)
def test_a_kind_is_found_under_its_group_and_version(name, version, path):
    assert BY_NAME[name].path(version) == path


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Service", Service), ("Node", Node), ("Namespace", Namespace), ("ReferenceGrant", ReferenceGrant)],
)
def test_a_kind_is_decoded_to_its_type(name, kind):
    assert BY_NAME[name].type is kind


def test_metadata_alone_is_asked_for_where_it_suffices():
    for watched in WATCHED:
        is_partial = watched.name in {"Node", "Namespace"}
        assert watched.is_metadata_only is is_partial
        if not is_partial:
            assert watched.accept(is_list=True) == watched.accept(is_list=False) == "application/json"
    node = BY_NAME["Node"]
    partial = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"
    assert node.accept(is_list=True) == partial.format("List")
    assert node.accept(is_list=False) == partial.format("")


def test_kinds_of_the_gateway_api_may_be_absent():
    assert {watched.name for watched in WATCHED if watched.is_optional} == {"HTTPRoute", "ReferenceGrant"}
