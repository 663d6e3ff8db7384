"""`meshctl compile` as its users meet it: the command is run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshproxy.wire import snapshot
from tests.control.build import http_route, rule, service

SHOP = Path(__file__).parents[1] / "shop"
PROJECT = Path(__file__).parents[3]


def run(*arguments, stdin="", **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MESHCTL_")}
    return subprocess.run(
        [sys.executable, "-c", "from control.cli.app import main; main()", *map(str, arguments)],
        input=stdin, capture_output=True, text=True, cwd=PROJECT, timeout=60, check=False,
        env={**clean, "PYTHONPATH": str(PROJECT), "NO_COLOR": "1", **environment},
    )  # fmt: skip


def write(path, *documents):
    path.write_text("\n---\n".join(json.dumps(document) for document in documents))
    return path


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out" / "snapshot.json"


@pytest.fixture(autouse=True)
def _folder(output):
    output.parent.mkdir()


def refused(result, output):
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert list(output.parent.iterdir()) == []
    return result.stderr


def test_a_folder_is_compiled_and_summarized(output):
    result = run("compile", "-f", SHOP, "-o", output)
    assert (result.returncode, result.stderr) == (0, "")
    assert output.read_bytes() == (SHOP / "golden" / "snapshot.json").read_bytes()
    assert [path.name for path in output.parent.iterdir()] == ["snapshot.json"]
    assert "6 Services, 6 EndpointSlices, 8 Pods, 2 HTTPRoutes" in result.stdout
    assert "35 resources" in result.stdout
    row = next(line for line in result.stdout.splitlines() if line.startswith("shop/reviews "))
    assert row.split() == ["shop/reviews", "shop/reviews:80", "yes", "yes"]
    assert "\x1b" not in result.stdout


def test_standard_input_and_several_files_and_the_trust_domain(tmp_path, output):
    one = write(tmp_path / "a.json", service("a"))
    files = ["-f", one, "-f", "-", "-f", SHOP / "endpoints.yaml"]
    result = run("compile", *files, "-o", output, "--trust-domain", "example.org", stdin=json.dumps(service("front")))
    assert (result.returncode, result.stderr) == (0, "")
    entries = snapshot.load(output.read_bytes()).select("shop")
    assert "service/shop/a" in entries
    assert "spiffe://example.org/ns/shop/sa/" not in str(
        entries["endpoints/shop/front:80"]
    )  # the port has another name


def test_options_come_from_the_environment_too(output):
    result = run("compile", MESHCTL_FILE=str(SHOP), MESHCTL_OUTPUT=str(output), MESHCTL_TRUST_DOMAIN="example.org")
    assert result.returncode == 0
    assert "spiffe://example.org/ns/shop/sa/front" in output.read_text()


def test_lists_are_taken_apart(tmp_path, output):
    bare = {"metadata": {"name": "b", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}
    lists = [
        {"apiVersion": "v1", "kind": "List", "items": [service("a")]},
        {"apiVersion": "v1", "kind": "ServiceList", "metadata": {"resourceVersion": "1"}, "items": [bare]},
    ]
    result = run("compile", "-f", write(tmp_path / "x.yaml", *lists), "-o", output)
    assert result.returncode == 0
    assert "2 Services" in result.stdout


def test_all_errors_of_all_files_are_shown_with_their_places_and_nothing_is_written(tmp_path, output):
    folder = tmp_path / "in"
    folder.mkdir()
    broken = http_route("reviews", rule("reviews", timeout="1s"), rule({"name": "reviews", "port": 0}))
    write(folder / "a.yaml", service("a", colour="red"), broken)
    (folder / "b.yaml").write_text("kind: [\n")
    (folder / "c.json").write_text('{"a": 1, "a": 2}')
    write(folder / "d.yaml", {"apiVersion": "v1", "kind": "List", "items": [service("x"), service("X")]})
    write(
        folder / "e.yaml",
        {"kind": "Service"},
        ["text"],
        {"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice"},
    )
    errors = refused(run("compile", "-f", folder, "-o", output), output)
    route = f"{folder}/a.yaml: document 2 (HTTPRoute shop/reviews): spec"
    old = "apiVersion: 'discovery.k8s.io/v1beta1' EndpointSlice is not known; allowed: discovery.k8s.io/v1"
    for expected in (
        f"{folder}/a.yaml: document 1 (Service shop/a): spec.colour: unknown field; allowed: ",
        f"{route}.rules[0].timeout: unknown field; allowed: ",
        f"{route}.rules[1].backendRefs[0].port: 0 is out of range; allowed: 1 to 65535",
        f"{folder}/b.yaml: document 1: line 2, column 1: not YAML",
        f"{folder}/c.json: document 1: not JSON: key 'a' stands twice",
        f"{folder}/d.yaml: document 1 item 2 (Service shop/X): metadata.name: 'X' is malformed; allowed: ",
        f"{folder}/e.yaml: document 1 (Service): apiVersion and kind are required",
        f"{folder}/e.yaml: document 2: is no object",
        f"{folder}/e.yaml: document 3 (EndpointSlice): {old}",
        f"9 errors: {output} was not written",
    ):
        assert expected in errors


def test_a_file_that_is_there_stays_as_it_is_after_errors(tmp_path, output):
    output.write_text("old")
    result = run("compile", "-f", write(tmp_path / "a.yaml", service("A")), "-o", output)
    assert result.returncode == 1
    assert output.read_text() == "old"


def test_an_object_that_stands_twice_is_an_error(tmp_path, output):
    file = write(tmp_path / "a.yaml", service("a"), service("b"), service("a"))
    errors = refused(run("compile", "-f", file, "-o", output), output)
    assert f"{file}: document 3 (Service shop/a): stands twice, before in {file}: document 1" in errors


def test_other_kinds_are_skipped_with_a_notice(tmp_path, output):
    others = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "any": 1},
        {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "x"}},
    ]
    result = run("compile", "-f", write(tmp_path / "a.yaml", service("a"), *others, *others[:1]), "-o", output)
    assert result.returncode == 0
    assert "skipped 2 of kind Deployment (apps/v1), which is not used: " in result.stderr
    assert "skipped 1 of kind Service (serving.knative.dev/v1)" in result.stderr


def test_a_route_that_is_not_accepted_is_printed_and_no_error(tmp_path, output):
    documents = [
        service("a"),
        http_route("lost", rule("a"), parents=["gone"]),
        http_route("half", rule("nowhere"), parents=["a"], hostnames=["example.com"]),
        http_route("edge", rule("a"), parents=[{"name": "gateway"}]),
    ]
    result = run("compile", "-f", write(tmp_path / "a.yaml", *documents), "-o", output)
    assert result.returncode == 0
    assert output.exists()
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line.startswith("shop/")}
    assert "no: NoMatchingParent" in rows["shop/lost"]
    assert "no: BackendNotFound" in rows["shop/half"]
    assert "hostnames have no meaning" in rows["shop/half"]
    assert "no parent is a Service" in rows["shop/edge"]


@pytest.mark.parametrize("kind", ["missing", "empty", "useless", "binary", "twice"])
def test_input_without_anything_to_compile_is_an_error(kind, tmp_path, output):
    folder = tmp_path / "in"
    folder.mkdir()
    files = {
        "missing": [folder / "gone.yaml"],
        "empty": [folder],
        "useless": [write(tmp_path / "a.yaml", {"apiVersion": "v1", "kind": "Secret"})],
        "binary": [folder / "b.yaml"],
        "twice": [folder / "b.yaml", folder / "b.yaml"],
    }[kind]
    if kind == "binary":
        files[0].write_bytes(b"\xff\xfe\x00")
    message = {
        "missing": "No such file", "empty": "no manifest in this folder", "useless": "nothing to compile",
        "binary": "not UTF-8", "twice": "given twice",
    }[kind]  # fmt: skip
    arguments = [argument for file in files for argument in ("-f", file)]
    assert message in refused(run("compile", *arguments, "-o", output), output)


def test_an_output_that_cannot_be_written_is_an_error(tmp_path):
    result = run("compile", "-f", SHOP, "-o", tmp_path / "none" / "x.json")
    assert result.returncode == 1
    assert "No such file or directory" in result.stderr
    assert "Traceback" not in result.stderr


def test_names_that_a_terminal_would_act_on_are_made_harmless(tmp_path, output):
    route = http_route("a", rule({"name": "\x1b[31m", "port": 80}), parents=["\x1b]0;title\x07"])
    result = run("compile", "-f", write(tmp_path / "a.yaml", service("a"), route), "-o", output)
    assert result.returncode == 0
    assert "\x1b" not in result.stdout


def test_the_command_teaches_its_use_and_tells_its_version():
    text = run("compile", "--help").stdout
    for part in ("--file", "--output", "--trust-domain", "MESHCTL_TRUST_DOMAIN", "Example"):
        assert part in text
    assert run("--version").stdout.startswith("meshctl 0.")
    bad = run("compile", "-f", SHOP, "-o", "x", "--trust-domain", "Not A Domain")
    assert bad.returncode == 2
