"""The real kubectl, an old one (1.20) and a new one, does its work with this API."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.control import build
from tests.fakes.api import TOKEN, serve_in_thread

_GIVEN = os.environ.get("MESHPROXY_TEST_KUBECTL", "")
PROGRAMS = [path for path in (_GIVEN, shutil.which("kubectl") or "") if path and Path(path).is_file()]


def minor_of(program):
    shown = subprocess.run(
        [program, "version", "--client", "-o", "json"], capture_output=True, text=True, check=True
    ).stdout
    return int(json.loads(shown)["clientVersion"]["minor"].rstrip("+"))


@pytest.fixture(
    scope="module", params=PROGRAMS or [pytest.param("", marks=pytest.mark.skip(reason="there is no kubectl"))]
)
def kubectl(request, tmp_path_factory):
    return Kubectl(request.param, tmp_path_factory.mktemp("kubectl"))


class Kubectl:
    """One program with a home and an API of its own."""

    def __init__(self, program, home):
        self.program = program
        self.home = home
        # Before 1.25 kubectl checks by a document that is not served here; later ones let the server check.
        self.unchecked = ["--validate=false"] if minor_of(program) < 25 else []

    def start(self, url):
        place = url.replace("http://", f"http://kubectl:{TOKEN}@")
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "mesh", "cluster": {"server": place}}],
            "contexts": [{"name": "mesh", "context": {"cluster": "mesh", "user": "", "namespace": "shop"}}],
            "current-context": "mesh",
        }
        (self.home / "config").write_text(yaml.safe_dump(config))

    def popen(self, *words, **options):
        environment = {"HOME": str(self.home), "KUBECONFIG": str(self.home / "config"), "PATH": os.environ["PATH"]}
        return subprocess.Popen(
            [self.program, *words],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )

    def __call__(self, *words, document=None, code=0):
        with self.popen(*words, stdin=subprocess.PIPE) as process:
            shown, _ = process.communicate(yaml.safe_dump_all(document or []), timeout=20)
        assert process.returncode == code, shown
        return shown


@pytest.fixture
def mesh(kubectl, tmp_path):
    with serve_in_thread(tmp_path) as url:
        kubectl.start(url)
        yield kubectl


def objects():
    rule = build.rule({"name": "v1", "port": 80, "weight": 90}, {"name": "v2", "port": 80, "weight": 10})
    service = build.service("echo", selector={"app": "echo"})
    service["metadata"]["labels"] = {"app": "echo"}
    return [
        service,
        build.endpoint_slice("echo", "10.0.0.1"),
        build.pod("echo-a", app="echo"),
        build.http_route("echo", rule),
        build.grant("g", "shop", namespace="shop"),
    ]


def test_all_kinds_from_create_to_delete(mesh):
    shown = mesh("create", *mesh.unchecked, "-f", "-", document=objects())
    assert [line.split()[1] for line in shown.splitlines()] == ["created"] * 5
    shown = mesh("get", "svc,endpointslices,pods,httproutes,referencegrants")
    lines = [line.split() for line in shown.splitlines() if line]
    assert lines[0] == ["NAME", "TYPE", "CLUSTER-IP", "PORT(S)", "AGE"]
    assert lines[1][:4] == ["service/echo", "ClusterIP", "<none>", "80/TCP"]
    assert ["httproute.gateway.networking.k8s.io/echo", "Service/echo", "Unknown", "Unknown", "v1=90|v2=10"] in [
        line[:5] for line in lines
    ]
    assert "app=echo" in mesh("get", "svc", "-o", "wide")
    assert "app=echo" not in mesh("get", "svc")
    assert (
        yaml.safe_load(mesh("get", "httproute", "echo", "-o", "yaml"))["spec"]["rules"][0]["backendRefs"][0]["weight"]
        == 90
    )
    assert json.loads(mesh("get", "pods", "-A", "-o", "json"))["items"][0]["metadata"]["name"] == "echo-a"
    assert mesh("get", "pods", "-l", "app=echo", "-o", "name").split() == ["pod/echo-a"]
    assert "No resources found" in mesh("get", "pods", "-l", "app!=echo")
    assert 'services "none" not found' in mesh("get", "svc", "none", code=1)
    changed = objects()
    changed[3]["spec"]["hostnames"] = ["a.example"]
    assert "httproute.gateway.networking.k8s.io/echo replaced" in mesh(
        "replace", *mesh.unchecked, "-f", "-", document=changed
    )
    assert mesh("get", "httproute", "echo", "-o", "jsonpath={.spec.hostnames}").strip() == '["a.example"]'
    assert mesh("delete", "-f", "-", document=objects()).count("deleted") == 5
    assert "No resources found" in mesh("get", "svc,endpointslices,pods,httproutes,referencegrants")


def test_server_side_apply(mesh):
    words = ("apply", "--server-side", *mesh.unchecked, "-f", "-")
    for _ in range(2):
        assert mesh(*words, document=objects()).count("serverside-applied") == 5
    other = objects()[3:4]
    other[0]["spec"]["rules"][0]["backendRefs"][0]["weight"] = 1
    shown = mesh(*words, "--field-manager=other", document=other, code=1)
    assert 'conflict with "kubectl"' in shown
    assert "serverside-applied" in mesh(*words, "--field-manager=other", "--force-conflicts", document=other)
    bad = objects()[3:4]
    bad[0]["spec"]["timeout"] = "1s"
    assert 'unknown field "spec.timeout"' in mesh(*words, document=bad, code=1)


def test_watching(mesh):
    mesh("create", *mesh.unchecked, "-f", "-", document=objects()[:1])
    with mesh.popen("get", "svc", "-w", "-o", "name") as names, mesh.popen("get", "svc", "-w") as table:
        try:
            assert names.stdout.readline().strip() == "service/echo"
            assert table.stdout.readline().split()[0] == "NAME"
            assert table.stdout.readline().split()[0] == "echo"
            mesh("create", *mesh.unchecked, "-f", "-", document=[build.service("other")])
            assert names.stdout.readline().strip() == "service/other"
            assert table.stdout.readline().split()[0] == "other"
            mesh("delete", "svc", "echo")
            assert names.stdout.readline().strip() == "service/echo"
        finally:
            names.kill()
            table.kill()


def test_strict_validation_is_asked_of_the_server(mesh):
    if mesh.unchecked:
        pytest.skip("this kubectl does not know fieldValidation")
    bad = objects()[:1]
    bad[0]["spec"]["prots"] = []
    shown = mesh("create", "-f", "-", document=bad, code=1)
    assert 'unknown field "spec.prots"' in shown
    assert "created" in mesh("create", "--validate=warn", "-f", "-", document=bad)
    assert "prots" not in mesh("get", "svc", "echo", "-o", "yaml")
    assert "created (server dry run)" in mesh("create", "--dry-run=server", "-f", "-", document=objects()[1:2])
    assert "No resources found" in mesh("get", "endpointslices")
