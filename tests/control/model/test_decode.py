import pytest

from control.model.decode import Identity, ObjectError, decode, identify, is_known, prune
from control.model.objects import Key, Pod, Service
from tests.control.build import document, endpoint, endpoint_slice, grant, pod, service


def flaws(item):
    with pytest.raises(ObjectError) as caught:
        decode(item)
    return [str(flaw) for flaw in caught.value.flaws]


def test_an_object_is_reduced_to_what_is_used():
    item = decode(service("a", {"port": 80, "targetPort": "http", "nodePort": 30000}, selector={"app": "a"}))
    assert isinstance(item, Service)
    assert item.key == Key("shop", "a")
    assert [(port.port, port.protocol) for port in item.spec.ports] == [(80, "TCP")]


def test_a_namespace_that_is_not_given_is_default():
    item = service("a")
    del item["metadata"]["namespace"]
    assert decode(item).key == Key("default", "a")
    assert identify(item).key == Key("default", "a")


def test_fields_that_an_api_server_sets_are_allowed():
    item = service("a")
    item["metadata"].update(
        uid="1", resourceVersion="2", generation=1, creationTimestamp=None, annotations={"a": "b"}, finalizers=["x"],
        managedFields=[{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"any": {}}}}],
    )  # fmt: skip
    item["status"] = {"loadBalancer": {}}
    decode(item)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (service("a", colour="red"), "spec.colour: unknown field"),
        ({**service("a"), "colour": "red"}, "colour: unknown field; allowed: apiVersion, kind, metadata, spec, status"),
        (document("v1", "Service", "a"), "spec: is required"),
        (service("A"), "metadata.name: 'A' is malformed; allowed: an RFC 1123 label"),
        (service("a.b"), "metadata.name: 'a.b' is malformed"),
        (service("a", namespace="a.b"), "metadata.namespace: 'a.b' is malformed"),
        (service("a", 70000), "spec.ports[0].port: 70000 is out of range; allowed: 1 to 65535"),
        (
            service("a", {"port": 80, "protocol": "QUIC"}),
            "spec.ports[0].protocol: 'QUIC' is unknown; allowed: TCP, UDP",
        ),
        (
            service("a", {"port": 80, "name": ""}, {"port": 81}),
            "spec.ports[0].name: is required where there are several",
        ),
        (service("a", {"port": 80, "name": "x"}, {"port": 81, "name": "x"}), "spec.ports[1].name: 'x' names another"),
        (service("a", {"port": 80, "name": "x"}, {"port": 80, "name": "y"}), "spec.ports[1].port: 80/TCP stands twice"),
        (endpoint_slice("a", "10.0.0.256"), "endpoints[0].addresses[0]: '10.0.0.256' is no IP address"),
        (endpoint_slice("a", "fd00::1"), "endpoints[0].addresses[0]: fd00::1 is IPv6; allowed: IPv4"),
        (endpoint_slice("a", "0.0.0.0"), "endpoints[0].addresses[0]: 0.0.0.0 names no single host"),
        (endpoint_slice("a", {"addresses": []}), "endpoints[0].addresses: has 0 items; allowed: 1 to 100"),
        (endpoint_slice("a", endpoint("10.0.0.1", conditions={"redy": True})), "endpoints[0].conditions.redy: unknown"),
        (endpoint_slice("a", endpoint("10.0.0.1", "A/B")), "endpoints[0].targetRef.name: 'A/B' is malformed"),
        (endpoint_slice("a", ports=[{"port": 80}, {"port": 81}]), "ports[1].name: '' names another port too"),
        (endpoint_slice("a", addressType="IPX"), "addressType: 'IPX' is unknown; allowed: IPv4, IPv6, FQDN"),
        (endpoint_slice("a") | {"spec": {}}, "spec: unknown field"),
        ({**pod("a"), "metadata": {"name": "a", "lables": {}}}, "metadata.lables: unknown field"),
        (pod("a", "A!"), "spec.serviceAccountName: 'A!' is malformed"),
        (pod("a", version="x y"), "metadata.labels.version: 'x y' is malformed"),
        (grant("a", "shop") | {"spec": {"from": [], "to": []}}, "spec.from: has 0 items; allowed: 1 to 16"),
        ({"apiVersion": "v2", "kind": "Service"}, "apiVersion: 'v2' Service is not known; allowed: v1"),
        ({**service("a"), "metadata": []}, "metadata: is array; allowed: object"),
    ],
)
def test_a_malformed_object_is_refused_with_place_and_what_is_allowed(item, message):
    assert flaws(item)[0].startswith(message)


def test_of_a_pod_only_what_is_used_is_checked():
    item = pod("a", "account")
    item["spec"]["colour"] = "red"
    item["status"] = {"anything": [1]}
    found = decode(item)
    assert isinstance(found, Pod)
    assert (found.service_account, found.is_meshed) == ("account", True)


def test_a_pod_without_account_has_the_default_one_and_without_label_is_not_meshed():
    found = decode(pod("a", meshed=False))
    assert (found.service_account, found.is_meshed) == ("default", False)


def test_loopback_and_fully_qualified_names_are_allowed_in_slices():
    decode(endpoint_slice("a", "127.0.0.9"))
    decode(endpoint_slice("a", "db.example.com", addressType="FQDN"))


@pytest.mark.parametrize("item", [None, [], "x", {}, {"kind": 1, "metadata": {"name": []}}, {"metadata": "x"}])
def test_anything_can_be_asked_what_it_is(item):
    assert identify(item) == Identity("", "", Key("default", ""))
    assert not is_known(identify(item))


def test_the_flaws_told_are_bounded():
    assert len(flaws(service("a", **{f"x{i}": 1 for i in range(200)}))) == 50


def test_what_a_kind_does_not_have_is_left_out_on_demand():
    item = service("a", {"port": 80, "colour": "red"}, shape="round")
    pruned, dropped = prune(item)
    assert dropped == ["spec.ports[0].colour", "spec.shape"]
    assert pruned == service("a", {"port": 80})
    decode(pruned)
    unknown = {"kind": "Tea", "colour": "red"}
    assert prune(unknown) == (unknown, [])
