"""meshctl against a control plane that reads a cluster: everything is shown, nothing is written."""

import asyncio
import json

import pytest
import yaml

from tests.control.build import endpoint, endpoint_slice, grant, http_route, path, pod, rule, service
from tests.fakes.control import Control, control_plane
from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.loop import until

REFUSAL = (
    "Error from server (MethodNotAllowed): this control plane reads its objects from a Kubernetes cluster and takes no "
    "writes; use kubectl instead, with the same file\n"
)
ROUTE = http_route(
    "echo",
    rule({"name": "echo", "port": 80, "weight": 9}, {"name": "echo-v2", "port": 80}, matches=[path("/")]),
    rule({"name": "echo", "namespace": "bank", "port": 80}),
    parents=["echo"],
)


def objects(uid):
    """A Pod's uid comes from the API server."""
    target = {"kind": "Pod", "name": "echo-1", "uid": uid}
    lost = {"kind": "Pod", "name": "echo-2", "uid": "nobody"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        service("echo", selector={"app": "echo"}),
        service("echo-v2"),
        service("echo", namespace="bank"),
        grant("echo", "shop", namespace="bank"),
        endpoint_slice(
            "echo",
            endpoint("10.0.0.1", targetRef=target, nodeName="n1", zone="a", conditions={"ready": True}),
            endpoint("10.0.0.2", targetRef=lost, conditions={"ready": False, "serving": True, "terminating": True}),
            ports=[{"port": 8080, "name": "", "protocol": "TCP"}],
        ),
        endpoint_slice("echo-v2", ports=[]),
        ROUTE,
    ]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of which a control plane has read everything; where that control plane is."""
    directory = tmp_path_factory.mktemp("cluster")
    with FakeApi() as api:
        (known,) = api.put(pod("echo-1", "buyer", version="1"))
        api.put(*objects(known["metadata"]["uid"]))
        flags = ("--kubernetes", "--kubeconfig", str(api.kubeconfig(directory / "config")))
        with control_plane(directory, *flags) as control:
            yield control


@pytest.fixture
def meshctl(meshctl, cluster, monkeypatch):
    monkeypatch.setenv("MESHCTL_API", cluster.url())
    monkeypatch.setenv("MESHCTL_TOKEN_FILE", str(cluster.token_file))
    return meshctl


@pytest.mark.parametrize("kind", ["services", "pods", "endpointslices", "httproutes", "referencegrants"])
def test_each_kind_is_shown_with_the_fields_that_are_kept_of_it(kind, meshctl):
    for form in ((), ("-o", "wide")):
        result = meshctl("get", kind, "-A", *form)
        assert (result.status, result.err) == (0, "")
        assert len(result.rows) > 1
    found = json.loads(meshctl("get", kind, "-A", "-o", "json").out)["items"]
    assert yaml.safe_load(meshctl("get", kind, "-A", "-o", "yaml").out)["items"] == found
    for item in found:
        metadata = item["metadata"]
        page = meshctl("describe", kind, metadata["name"], "-n", metadata["namespace"])
        assert (page.status, page.err) == (0, "")
        assert page.rows[0] == ["Name:", metadata["name"]]


def test_tables_say_what_is_known(meshctl):
    (row,) = (row for row in meshctl("get", "endpointslices", "-n", "shop", "-o", "wide").rows if row[0] == "echo-1")
    assert row[1:6] == ["IPv4", "8080/TCP", "1/2", "10.0.0.1,10.0.0.2", "echo"]
    assert meshctl("get", "pods", "-n", "shop").rows[1][:3] == ["echo-1", "yes", "buyer"]
    page = meshctl("describe", "httproute", "echo", "-n", "shop").out
    assert "Service shop/echo" in page
    assert ["echo:80", "9", "90", "%", "-"] in [line.split() for line in page.splitlines()]
    assert "bank/echo:80" in page


def test_the_way_of_a_request_is_explained(meshctl):
    result = meshctl("explain", "http://echo.shop/", "--from", "shop/buyer")
    assert "10.0.0.1:8080" in result.out
    assert "10.0.0.2" not in result.out
    assert "spiffe://cluster.local/ns/shop/sa/buyer" in result.out


def test_the_checks_tell_of_the_cluster(meshctl):
    result = meshctl("check", "-o", "json")
    found = {(item["section"], item["name"]): item for item in json.loads(result.out)["items"]}
    assert found["Objects", "EndpointSlice"]["message"].startswith("2 objects of discovery.k8s.io/v1")
    assert found["Configuration", "Service shop/echo"]["message"].startswith("1 endpoint is withheld")
    assert found["Configuration", "routes"]["state"] == "ok"
    assert {item["state"] for item in found.values()} == {"ok", "warn"}
    assert result.status == 0


@pytest.mark.parametrize("words", [("apply",), ("apply", "--dry-run"), ("diff",), ("delete",)])
def test_a_write_of_many_objects_is_refused_once_with_what_to_do_instead(words, meshctl, manifest):
    file = manifest(ROUTE, service("echo"), service("new"), pod("new"))
    result = meshctl(*words, "-f", file)
    assert result.out == ""
    assert result.err == REFUSAL + ("nothing was applied\n" if words[0] == "apply" else "")
    assert result.status == (2 if words[0] == "diff" else 1)


@pytest.mark.parametrize(
    "words", [("delete", "svc", "echo", "-n", "shop"), ("route", "shift", "echo", "echo-v2=20", "-n", "shop")]
)
def test_a_write_of_one_object_is_refused_with_what_to_do_instead(words, meshctl):
    assert meshctl(*words) == (1, "", REFUSAL)


def test_before_the_cluster_was_read_the_checks_tell_why_not(meshctl, tmp_path):
    with FakeApi() as api:
        flags = ("--kubernetes", "--kubeconfig", str(api.kubeconfig(tmp_path / "config")))
        api.kill()
        control = Control(tmp_path, "--api", "127.0.0.1:0", "--push", "127.0.0.1:0", "--metrics", "127.0.0.1:0", *flags)
        try:
            asyncio.run(until(lambda: "metrics" in control.addresses))
            place = ("--api", control.url(), "--token-file", control.token_file)
            result = meshctl(*place, "check")
            assert result.status == 1
            assert "  ✗ answers  " in result.out
            assert "no sidecar is served until it is" in result.out
            assert "Connection refused" in result.out
            refused = meshctl(*place, "get", "svc")
            assert refused.status == 1
            assert refused.err.startswith("Error from server (ServiceUnavailable): the cluster was not read yet")
        finally:
            control.stop()
