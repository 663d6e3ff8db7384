"""`meshctl get` and `describe`."""

import json
import re

import pytest
import yaml

from tests.control.build import endpoint, endpoint_slice, grant, http_route, path, pod, rule, service


@pytest.fixture
def shop(meshctl, manifest, ns):
    """Two versions of a Service with a canary route between them."""
    backends = [{"name": "echo-v1", "port": 80, "weight": 90}, {"name": "echo-v2", "port": 80, "weight": 10}]
    front = service("echo", 80, 90, namespace=ns)
    front["metadata"]["labels"] = {"team": "shop"}
    slices = [
        endpoint("127.0.0.1", "v1-a", zone="z1", nodeName="n1"),
        endpoint("127.0.0.2", "gone", conditions={"ready": False, "serving": True, "terminating": True}),
        endpoint("127.0.0.3", conditions={"ready": False}),
        endpoint("127.0.0.4", targetRef={"kind": "Pod", "namespace": ns, "name": "v1-a", "uid": "of-another"}),
    ]
    documents = [
        front,
        service("echo-v1", namespace=ns),
        service("echo-v2", namespace=ns),
        endpoint_slice("echo-v1", *slices, namespace=ns),
        pod("v1-a", "robot", namespace=ns),
        http_route(
            "echo",
            rule(*backends, name="canary", matches=[path("/pay")], timeouts={"request": "2s"}),
            rule("echo-v1", "nowhere", filters=[{"type": "RequestHeaderModifier", "requestHeaderModifier":
                 {"set": [{"name": "x-a", "value": "1"}]}}]),
            namespace=ns,
        ),
        grant("allow", "bank", "echo", namespace=ns),
    ]  # fmt: skip
    assert meshctl("apply", "-f", manifest(*documents)).status == 0
    return ns


def test_a_table_shows_what_an_operator_wants(meshctl, shop):
    result = meshctl("get", "httproutes", "-n", shop)
    assert result.rows[0][:4] == ["NAME", "PARENTS", "ACCEPTED", "RESOLVED"]
    assert result.rows[1][0] == "echo"
    assert "echo-v1=90|echo-v2=10" in result.out
    assert result.rows[1][2] == "True"


def test_all_namespaces_one_name_a_selector_and_the_wide_form(meshctl, shop):
    rows = meshctl("get", "svc", "-A").rows
    assert rows[0][:2] == ["NAMESPACE", "NAME"]
    assert [shop, "echo-v2"] in [row[:2] for row in rows]
    assert [row[0] for row in meshctl("get", "svc", "echo-v1", "-n", shop).rows] == ["NAME", "echo-v1"]
    assert [row[0] for row in meshctl("get", "svc/echo-v1", "-n", shop).rows] == ["NAME", "echo-v1"]
    assert [row[0] for row in meshctl("get", "svc", "-n", shop, "-l", "team=shop").rows] == ["NAME", "echo"]
    assert "SELECTOR" in meshctl("get", "svc", "-n", shop, "-o", "wide").rows[0]
    assert "SELECTOR" not in meshctl("get", "svc", "-n", shop).rows[0]


def test_objects_are_printed_as_yaml_json_and_names(meshctl, shop):
    one = yaml.safe_load(meshctl("get", "svc", "echo", "-n", shop, "-o", "yaml").out)
    assert (one["kind"], one["metadata"]["labels"]) == ("Service", {"team": "shop"})
    assert "managedFields" not in one["metadata"]
    many = json.loads(meshctl("get", "svc", "-n", shop, "-o", "json").out)
    assert many["kind"] == "List"
    assert [item["metadata"]["name"] for item in many["items"]] == ["echo", "echo-v1", "echo-v2"]
    assert {item["kind"] for item in many["items"]} == {"Service"}
    names = meshctl("get", "httproute", "-n", shop, "-o", "name")
    assert names.out == "httproute/echo\n"


def test_the_namespace_comes_from_the_environment_too(meshctl, shop, monkeypatch):
    monkeypatch.setenv("MESHCTL_NAMESPACE", shop)
    assert meshctl("get", "svc", "echo").status == 0


def test_lists_longer_than_a_page_are_whole(meshctl, manifest, ns, monkeypatch):
    monkeypatch.setattr("control.cli.get.PAGE", 2)
    meshctl("apply", "-f", manifest(*(service(f"s{i}", namespace=ns) for i in range(5))))
    items = json.loads(meshctl("get", "svc", "-n", ns, "-o", "json").out)["items"]
    assert [item["metadata"]["name"] for item in items] == [f"s{i}" for i in range(5)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("svc", "none"), 'Error from server (NotFound): services "none" not found'),
        (("deploy",), "error: kind 'deploy' is not known; allowed: services (svc), "),
        (("svc", "a", "-A"), "error: a name goes with neither"),
        (("proxies", "-w"), "error: proxies cannot be watched"),
        (("svc", "-l", "a=("), "Error from server (BadRequest): "),
    ],
)
def test_what_cannot_be_shown_is_told(meshctl, arguments, message):
    result = meshctl("get", *arguments)
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(message)


def test_nothing_there_is_no_error(meshctl, ns):
    assert meshctl("get", "svc", "-n", ns) == (0, "", f"no services found in namespace {ns}\n")


def test_a_watch_prints_what_is_there_and_each_change_until_it_is_interrupted(meshctl, manifest, shop, watching):
    watch = watching("get", "svc", "-n", shop, "-l", "team=shop", "-w")
    assert watch.line().split()[0] == "NAME"
    assert watch.line().split()[0] == "echo"
    other = service("new", namespace=shop)
    other["metadata"]["labels"] = {"team": "shop"}
    meshctl("apply", "-f", manifest(service("unseen", namespace=shop), other))
    assert watch.line().split()[0] == "new"
    meshctl("delete", "svc", "new", "-n", shop)
    assert re.search(r"^new .*\(deleted\)$", watch.line())
    assert watch.stop() == (130, "")


def test_a_watch_of_one_object_as_names(meshctl, shop, watching):
    watch = watching("get", "svc", "echo-v1", "-n", shop, "-o", "name", "-w")
    assert watch.line() == "service/echo-v1\n"
    meshctl("delete", "svc", "echo-v2", "-n", shop)
    meshctl("delete", "svc", "echo-v1", "-n", shop)
    assert watch.line() == "service/echo-v1 (deleted)\n"


def test_a_service_is_described_with_its_endpoints_and_routes(meshctl, shop):
    page = meshctl("describe", "service", "echo-v1", "-n", shop).out
    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert "Name: echo-v1" in lines
    assert "Managed by: meshctl" in lines
    assert "127.0.0.1:8080 ready yes v1-a n1 z1" in lines
    assert "127.0.0.2:8080 terminating, serving no gone (not known) - -" in lines
    assert "127.0.0.3:8080 unready no - - -" in lines
    assert "127.0.0.4:8080 ready yes v1-a (of another uid) - -" in lines
    assert f"{shop}/echo backend canary, 1" in lines
    assert f"{shop}/echo parent all" in [
        " ".join(line.split()) for line in meshctl("describe", "svc/echo", "-n", shop).out.splitlines()
    ]


def test_a_route_is_described_with_its_rules_and_status(meshctl, shop):
    page = meshctl("describe", "httproute", "echo", "-n", shop).out
    lines = [" ".join(line.split()) for line in page.splitlines()]
    for expected in (
        f"Parents: Service {shop}/echo",
        "Rule 0: canary",
        "Matches: path prefix /pay",
        "Timeouts: request 2s",
        "echo-v1:80 90 90 % -",
        "Filter: RequestHeaderModifier set: x-a=1",
        "nowhere:80 1 50 % no such Service",
    ):
        assert expected in lines
    assert any(line.startswith("Accepted True Accepted") for line in lines)
    assert any(line.startswith("ResolvedRefs False BackendNotFound") for line in lines)


def test_what_the_mesh_does_not_serve_is_described_so(meshctl, manifest, ns):
    out = service("out", type="ExternalName", externalName="example.com", namespace=ns)
    dns = service("dns", {"port": 53, "protocol": "UDP", "name": "dns"}, {"port": 80, "name": "grpc-x"}, namespace=ns)
    route = http_route("r", rule("out", {"name": "dns", "port": 53}, {"name": "dns", "port": 80}), namespace=ns)
    assert meshctl("apply", "-f", manifest(out, dns, route)).status == 0
    pages = [
        meshctl("describe", *names, "-n", ns).out for names in (("svc", "out"), ("svc", "dns"), ("httproute", "r"))
    ]
    external, ports, routing = ([" ".join(line.split()) for line in page.splitlines()] for page in pages)
    assert "Endpoints: none: the mesh serves no type ExternalName, and answers 404" in external
    assert {"53 dns - UDP no", "80 grpc-x - TCP grpc"} <= set(ports)
    notes = {line.split()[0]: line.partition(" % ")[2] for line in routing if " % " in line}
    assert notes == {"out:80": "type ExternalName is not supported", "dns:53": "no such TCP port", "dns:80": "-"}


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("endpointslice", "echo-v1-1", "Service: {ns}/echo-v1"),
        ("pod", "v1-a", "echo-v1-1 {ns}/echo-v1 127.0.0.1 ready"),
        ("referencegrant", "allow", "From: HTTPRoute in namespace bank"),
    ],
)
def test_other_kinds_are_described_too(meshctl, shop, kind, name, expected):
    page = meshctl("describe", kind, name, "-n", shop)
    assert page.status == 0
    assert expected.format(ns=shop) in [" ".join(line.split()) for line in page.out.splitlines()]


def test_what_is_described_must_exist_and_have_a_name(meshctl, ns):
    assert "not found" in meshctl("describe", "svc", "none", "-n", ns).err
    assert "the name of the service is missing" in meshctl("describe", "svc").err
